//! One form for equal inputs: JSON with sorted keys, in which no number is infinite or not a number.

use milepost_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

mod finite;

/// The JSON of a value.
///
/// # Errors
///
/// [`ErrorKind::Invalid`]: it has no form in JSON. NaN and the infinities have none: they would be read back as nothing.
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Box<RawValue>> {
    let invalid =
        |error: String| Error::new(ErrorKind::Invalid, format!("the value has no form in JSON: {error}"));
    value.serialize(finite::Finite).map_err(|error| invalid(error.to_string()))?;
    serde_json::value::to_raw_value(value).map_err(|error| invalid(error.to_string()))
}

/// The same bytes for equal JSON, whatever the order of its keys and the blanks in it.
pub(crate) fn canonical(json: &RawValue) -> Vec<u8> {
    let mut bytes = Vec::new();
    match serde_json::from_str(json.get()) {
        Ok(value) => write(&value, &mut bytes),
        // A raw value was JSON when it was made.
        Err(_) => bytes.extend_from_slice(json.get().as_bytes()),
    }
    bytes
}

fn write(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            list(b"{}", entries, bytes, |(key, value), bytes| {
                write(&Value::from(key.as_str()), bytes);
                bytes.push(b':');
                write(value, bytes);
            });
        }
        Value::Array(array) => list(b"[]", array, bytes, write),
        plain => bytes.extend_from_slice(plain.to_string().as_bytes()),
    }
}

fn list<T>(
    brackets: &[u8; 2],
    items: impl IntoIterator<Item = T>,
    bytes: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    bytes.push(brackets[0]);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        write(item, bytes);
    }
    bytes.push(brackets[1]);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn equal_values_have_one_form() {
        let one = RawValue::from_string(r#"{"b": [1, {"y":null,"x":"é"}], "a": 0.5}"#.into()).unwrap();
        assert_eq!(canonical(&one), r#"{"a":0.5,"b":[1,{"x":"é","y":null}]}"#.as_bytes());
    }

    #[test]
    fn what_json_cannot_say_is_refused_wherever_it_hides() {
        assert!(to_json(&f64::NAN).is_err());
        assert!(to_json(&Some(f32::INFINITY)).is_err());
        assert!(to_json(&vec![(1, HashMap::from([("a", f64::NEG_INFINITY)]))]).is_err());
        assert_eq!(to_json(&(1.5, "x", None::<f64>, [(); 1])).unwrap().get(), r#"[1.5,"x",null,[null]]"#);
    }
}

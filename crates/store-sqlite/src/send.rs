//! The verdict on a message, and what it writes.

use milepost_core::{Checksum, Message, NewMessage, Refusal, Sent};

use crate::{
    image::Image,
    job::{Answer, Context, Decided, Verdict},
    needs::{Parts, key_checksum},
    plan::{Step, Write},
    sql::Value,
};

/// What tells two messages of one key apart.
fn content(message: &NewMessage) -> Checksum {
    Checksum::of_parts("sqlite message content", &[message.kind.as_str().as_bytes(), &message.body])
}

/// Judges a message in the documented order of verdicts. It is ordered with the run's commits by the transaction, so
/// a release never misses it.
pub(crate) fn judge(
    message: &NewMessage,
    image: Option<Image>,
    parts: &Parts,
    context: &Context<'_>,
) -> Verdict {
    let meant = |image: &Image| message.incarnation.is_none_or(|own| own == image.row.fence.incarnation);
    let mut row = image.filter(meant).ok_or(Refusal::NotFound)?.row;
    let content = content(message);
    if let Some((number, first)) = parts.key {
        let same = first == content;
        let sent = if same { Sent::Repeated { number } } else { Sent::Conflicting { number } };
        return Ok(Decided::unchanged(Answer::Sent(sent)));
    }
    if let Some(outcome) = row.outcome {
        return Err(Refusal::Finished { outcome }.into());
    }
    row.newest_message += 1;
    row.sizes.messages += message.body.len() as u64;
    let number = row.newest_message;
    row.counts.messages += 1;
    row.counts.message_numbers = row.counts.message_numbers.wrapping_add(number);
    let wakes = row.lease.is_none() && !row.draft && row.wake_after.is_some_and(|after| number > after);
    if wakes {
        row.due = Some(row.due.map_or(context.now, |due| due.min(context.now)));
    }
    let NewMessage { id, key, kind, body, incarnation: _ } = message.clone();
    let message = Message { number, id, key, kind, body, at: context.now };
    let own = key_checksum(row.key, message.key.as_str(), number, content);
    let checksum = message.checksum(&row.id, row.fence.incarnation);
    let key = [
        Value::Int(row.key),
        Value::text(message.key.as_str()),
        Value::unsigned(number),
        Value::blob(&content.0),
        Value::blob(&own.0),
    ];
    let stored = [
        Value::Int(row.key),
        Value::unsigned(number),
        Value::blob(&message.id.0.to_le_bytes()),
        Value::text(message.key.as_str()),
        Value::text(message.kind.as_str()),
        Value::Int(message.at.0),
        Value::blob(&checksum.0),
        Value::Blob(message.body),
    ];
    let writes = vec![Write::new(Step::InsertMessage, stored), Write::new(Step::InsertMessageKey, key)];
    Ok(Decided::changed(Answer::Sent(Sent::Accepted { number }), row, writes))
}

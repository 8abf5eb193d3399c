//! What the agent can do, and what is shown of it.

use std::{collections::HashSet, time::Duration};

use milepost::{BoxError, Effect, run::Happened};
use serde_json::{Value, json};

/// The tools as the model is told of them.
pub(crate) fn described() -> Value {
    let tool = |name: &str, description: &str, parameters: [&str; 1]| {
        let [first] = parameters;
        json!({ "type": "function", "function": {
            "name": name, "description": description,
            "parameters": { "type": "object", "required": [first], "properties": { first: { "type": "string" } } },
        } })
    };
    let subtract = json!({ "type": "function", "function": {
        "name": "subtract", "description": "Subtracts `what` from `from`",
        "parameters": { "type": "object", "required": ["from", "what"],
            "properties": { "from": { "type": "string" }, "what": { "type": "string" } } },
    } });
    json!([tool("temperature", "The temperature of a city in °C", ["city"]), subtract])
}

/// Does what a call asks for. It takes a second, so that there is time to be killed in.
pub(crate) async fn call(call: &Value, effect: Effect) -> Result<String, BoxError> {
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap_or("{}"))?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let number = |name: &str| -> Result<i64, BoxError> {
        let value =
            arguments[name].as_str().map(str::to_owned).unwrap_or_else(|| arguments[name].to_string());
        Ok(value.trim().parse()?)
    };
    match effect.step() {
        "temperature" => match arguments["city"].as_str() {
            Some("Oslo") => Ok("-4".into()),
            Some("Cairo") => Ok("21".into()),
            other => Err(format!("no thermometer in {other:?}").into()),
        },
        "subtract" => Ok((number("from")? - number("what")?).to_string()),
        other => Err(format!("there is no tool {other:?}").into()),
    }
}

/// Says what happens to the run, a line each.
#[expect(clippy::print_stdout, reason = "it is an example")]
pub(crate) fn tell(happened: &Happened) {
    match happened {
        Happened::Opened { epoch: 1, .. } => println!("begins the run"),
        Happened::Opened { epoch, cursor } => {
            println!("takes the run over (epoch {epoch}) and reads its {cursor} records");
        }
        Happened::StepReplayed { step } => println!("step {step} is answered from the log"),
        Happened::StepBegan { step, attempt: 0 } if step == "model" => println!("the model is asked"),
        Happened::StepBegan { step, attempt: 0 } => println!("tool {step} is called"),
        Happened::StepBegan { step, attempt } => {
            println!("step {step} was begun and never ended: attempt {attempt}, with the same key");
        }
        Happened::StepDone { step, .. } => println!("step {step} is done, and durable"),
        Happened::StepFailed { step, message, .. } => println!("step {step} failed: {message}"),
        Happened::Ended(ended) => println!("the run: {ended}"),
        _ => {}
    }
}

/// A message on one line.
pub(crate) fn line(message: &Value) -> String {
    let role = message["role"].as_str().unwrap_or("?");
    match message["tool_calls"].as_array() {
        Some(calls) => {
            let calls = calls.iter().map(|call| {
                format!("{} {} ({})", call["function"]["name"], call["function"]["arguments"], call["id"])
            });
            format!("{role:9} calls {}", calls.collect::<Vec<_>>().join(" and "))
        }
        None => format!("{role:9} {}", message["content"].as_str().unwrap_or_default()),
    }
}

/// Whether the chat API would take it: each call has exactly one answer, before anything else is said, and no answer is
/// without its call.
pub(crate) fn validate(transcript: &[Value]) -> Result<(), BoxError> {
    let mut open = HashSet::new();
    for message in transcript {
        let id = message["tool_call_id"].as_str();
        match (message["role"].as_str(), id) {
            (Some("tool"), Some(id)) if open.remove(id) => {}
            (Some("tool"), id) => return Err(format!("an answer to no open call: {id:?}").into()),
            _ if !open.is_empty() => return Err(format!("calls without an answer: {open:?}").into()),
            _ => {
                let calls = message["tool_calls"].as_array().into_iter().flatten();
                open.extend(calls.filter_map(|call| call["id"].as_str()));
            }
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("calls without an answer: {open:?}").into()) }
}

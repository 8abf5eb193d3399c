//! A model that says what it is scripted to say, for those who have none at hand: a server on this machine that speaks the
//! same API.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
};

use milepost::BoxError;
use serde_json::{Value, json};

/// Starts it, unless a real model is given; what the processes need to find it, as environment variables.
pub(crate) fn start_unless_given() -> Result<Vec<(String, String)>, BoxError> {
    if env::var_os("OPENAI_API_KEY").is_some() {
        return Ok(Vec::new());
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base = format!("http://{}/v1", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A caller that was killed does not hear the answer.
            let _ = answer(stream);
        }
    });
    Ok(vec![("OPENAI_BASE_URL".into(), base), ("OPENAI_API_KEY".into(), "scripted".into())])
}

fn answer(mut stream: TcpStream) -> Result<(), BoxError> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request: Value = serde_json::from_slice(&body)?;
    let reply = json!({ "choices": [{ "message": next(&request["messages"]) }] }).to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{reply}",
        reply.len()
    )?;
    Ok(())
}

/// First both cities, then the difference of what came back, then the answer.
fn next(transcript: &Value) -> Value {
    let results: Vec<&str> = transcript
        .as_array()
        .into_iter()
        .flatten()
        .filter(|message| message["role"] == "tool")
        .filter_map(|message| message["content"].as_str())
        .collect();
    let call = |id: &str, name: &str, arguments: Value| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments.to_string() } });
    let calls = match results[..] {
        [] => vec![
            call("call_1", "temperature", json!({ "city": "Oslo" })),
            call("call_2", "temperature", json!({ "city": "Cairo" })),
        ],
        [oslo, cairo] => vec![call("call_3", "subtract", json!({ "from": cairo, "what": oslo }))],
        [oslo, cairo, difference, ..] => {
            let content =
                format!("Oslo has {oslo} °C and Cairo {cairo} °C: a difference of {difference} °C.");
            return json!({ "role": "assistant", "content": content });
        }
        _ => return json!({ "role": "assistant", "content": "A tool call has no answer." }),
    };
    json!({ "role": "assistant", "content": null, "tool_calls": calls })
}

//! A server on this machine, so that the example needs nobody else: a model that says what it is scripted to say, behind the
//! chat API, and a shop that honours idempotency keys.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
};

use milepost::{
    BoxError,
    run::chat::{Message, Role, ToolCall, Transcript},
};
use serde_json::{Value, json};

/// The server, which lives as long as its process.
pub(crate) struct Server {
    pub(crate) address: String,
    shop: Arc<Mutex<Shop>>,
}

/// The orders, by the idempotency key under which they came.
#[derive(Default)]
struct Shop {
    orders: BTreeMap<String, Order>,
    /// The first order of all is taken, told here, and not answered.
    silent: Option<mpsc::Sender<()>>,
}

#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) number: usize,
    /// What was asked for, each time that it was.
    pub(crate) requests: Vec<Value>,
}

impl Server {
    /// Starts it. With `silent` the first order is taken, told to whoever waits for it, and never answered.
    pub(crate) fn start(silent: Option<mpsc::Sender<()>>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let shop = Arc::new(Mutex::new(Shop { silent, ..Shop::default() }));
        let shared = shop.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shop = shared.clone();
                // A caller that was killed does not hear the answer.
                std::thread::spawn(move || drop(answer(stream, &shop)));
            }
        });
        Ok(Self { address, shop })
    }

    /// The orders, by their keys.
    pub(crate) fn orders(&self) -> BTreeMap<String, Order> {
        self.shop.lock().map(|shop| shop.orders.clone()).unwrap_or_default()
    }
}

fn answer(mut stream: TcpStream, shop: &Mutex<Shop>) -> Result<(), BoxError> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (path, key, body) = read_request(&mut reader)?;
    let answer = if path.ends_with("/chat/completions") {
        let chat: Transcript = serde_json::from_value(body["messages"].clone())?;
        json!({ "choices": [{ "message": next(&chat) }] })
    } else {
        match take_order(shop, key, body) {
            Some(number) => json!({ "number": number }),
            // Until the caller has gone.
            None => return reader.read_exact(&mut [0]).map_err(Into::into),
        }
    };
    let answer = answer.to_string();
    let length = answer.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
    )?;
    Ok(())
}

/// The path, the idempotency key and the body.
fn read_request(reader: &mut impl BufRead) -> Result<(String, String, Value), BoxError> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut key) = (0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse()?,
            "idempotency-key" => key = value.trim().into(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((path, key, serde_json::from_slice(&body)?))
}

/// The number of the order of this key, made now or before; `None` for the one that is not to be answered.
fn take_order(shop: &Mutex<Shop>, key: String, request: Value) -> Option<usize> {
    let mut shop = shop.lock().ok()?;
    let number = shop.orders.len() + 1;
    let order = shop.orders.entry(key).or_insert(Order { number, requests: Vec::new() });
    order.requests.push(request);
    let number = order.number;
    match shop.silent.take() {
        Some(silent) => {
            let _ = silent.send(());
            None
        }
        None => Some(number),
    }
}

/// What the scripted model says next: it looks at both cities, orders what is needed, and answers.
fn next(chat: &Transcript) -> Message {
    let results: Vec<String> =
        chat.iter().filter(|said| said.role == Role::Tool).map(Message::text).collect();
    let call = |id: &str, name: &str, arguments: Value| ToolCall::new(id, name, arguments.to_string());
    let calls = match &results[..] {
        [] => vec![
            call("call_1", "temperature", json!({ "city": "Oslo" })),
            call("call_2", "temperature", json!({ "city": "Cairo" })),
        ],
        [_, _] => vec![call("call_3", "order", json!({ "item": "heater", "city": "Oslo" }))],
        [oslo, cairo, order] => {
            let answer =
                format!("Oslo has {oslo} °C and Cairo {cairo} °C. I sent a heater to Oslo: {order}.");
            return Message::assistant(answer);
        }
        other => return Message::assistant(format!("I do not understand {other:?}.")),
    };
    Message { content: None, tool_calls: calls, ..Message::assistant("") }
}

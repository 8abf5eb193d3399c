//! What the agent reaches out for: a model behind the chat API, and a shop that takes orders.

use std::env;

use milepost::{
    BoxError, Effect,
    run::chat::{Message, ToolCall, Transcript},
};
use serde_json::{Value, json};

/// Where everything is.
pub(crate) struct World {
    client: reqwest::Client,
    /// The chat API, its key, and the model to ask for.
    model: (String, String, String),
    shop: String,
}

impl World {
    /// The model and the shop of these addresses; the model's key and name are those of the environment, if it has them.
    pub(crate) fn new(model: String, shop: String) -> Result<Self, BoxError> {
        // Whoever was first has installed the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let or = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.into());
        let (key, name) = (or("OPENAI_API_KEY", "none"), or("OPENAI_MODEL", "gpt-4o-mini"));
        Ok(Self { client: reqwest::Client::builder().build()?, model: (model, key, name), shop })
    }

    async fn post(&self, url: String, headers: &[(&str, String)], body: Value) -> Result<Value, BoxError> {
        let mut request = self.client.post(url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.body(body.to_string()).send().await?;
        let (status, url) = (answer.status(), answer.url().clone());
        let text = answer.text().await?;
        if !status.is_success() {
            // What a service says of a key or a model that it does not know stands in its answer.
            let said = &text[..text.floor_char_boundary(300)];
            return Err(format!("{url} answers {status}: {said}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// The model's next message.
    pub(crate) async fn ask_model(&self, chat: &Transcript) -> Result<Message, BoxError> {
        let (base, key, name) = &self.model;
        let request = json!({ "model": name, "messages": chat, "tools": tools() });
        let authorization = [("authorization", format!("Bearer {key}"))];
        let mut answer = self.post(format!("{base}/chat/completions"), &authorization, request).await?;
        Ok(serde_json::from_value(answer["choices"][0]["message"].take())?)
    }

    /// Makes a call that the model wants made.
    pub(crate) async fn call_tool(&self, call: &ToolCall, effect: Effect) -> Result<String, BoxError> {
        let arguments: Value = call.arguments()?;
        match (call.name(), arguments["city"].as_str()) {
            ("temperature", Some("Oslo")) => Ok("-4".into()),
            ("temperature", Some("Cairo")) => Ok("21".into()),
            ("temperature", city) => Err(format!("there is no thermometer in {city:?}").into()),
            ("order", Some(_)) => {
                let order = self.post(format!("{}/orders", self.shop), &effect.headers(), arguments).await?;
                Ok(format!("order {}", order["number"]))
            }
            (other, _) => Err(format!("there is no tool {other:?} for these arguments").into()),
        }
    }
}

/// The tools as the model is told of them.
fn tools() -> Value {
    let tool = |name: &str, description: &str, parameters: &[&str]| {
        let properties: Value = parameters
            .iter()
            .map(|name| (name.to_string(), json!({ "type": "string" })))
            .collect::<serde_json::Map<_, _>>()
            .into();
        json!({ "type": "function", "function": { "name": name, "description": description, "parameters": {
            "type": "object", "required": parameters, "properties": properties } } })
    };
    json!([
        tool("temperature", "The temperature of a city in °C", &["city"]),
        tool("order", "Orders something to be sent to a city; gives the order's number", &["item", "city"]),
    ])
}

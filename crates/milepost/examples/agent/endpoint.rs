//! A model behind the chat API that OpenAI began and many speak: `POST /chat/completions`.

use std::env;

use milepost::BoxError;
use serde_json::{Value, json};

use crate::tools;

/// Where the model is.
#[derive(Clone)]
pub(crate) struct Endpoint {
    base: String,
    key: String,
    model: String,
}

impl Endpoint {
    pub(crate) fn from_environment() -> Result<Self, BoxError> {
        let or = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.into());
        Ok(Self {
            base: or("OPENAI_BASE_URL", "https://api.openai.com/v1"),
            key: env::var("OPENAI_API_KEY").map_err(|_| "OPENAI_API_KEY is not set")?,
            model: or("OPENAI_MODEL", "gpt-4o-mini"),
        })
    }

    /// The model's next message.
    pub(crate) async fn complete(&self, transcript: &[Value]) -> Result<Value, BoxError> {
        let request = json!({ "model": self.model, "messages": transcript, "tools": tools::described() });
        let (url, key) = (format!("{}/chat/completions", self.base), format!("Bearer {}", self.key));
        let asked = tokio::task::spawn_blocking(move || -> Result<Value, ureq::Error> {
            let mut response = ureq::post(&url).header("authorization", &key).send_json(&request)?;
            response.body_mut().read_json()
        });
        let mut answer = asked.await??;
        Ok(answer["choices"][0]["message"].take())
    }
}

//! Transcripts of agents: messages in the shape of the chat API that OpenAI began and many speak, kept valid over crashes.
//!
//! A [`Transcript`] is the state of an agent's [loop](crate::Run::repeat). It serializes to the `messages` of a request, and
//! what a model answers (`choices[0].message`) is a [`Message`]; fields that are not named here are kept as they came.
//!
//! ```
//! use milepost_run::{BoxError, Run, chat::{Message, ToolCall, Transcript}};
//! use std::ops::ControlFlow::{Break, Continue};
//!
//! # async fn ask_model(_: &Transcript) -> Result<Message, BoxError> { Ok(Message::assistant("42")) }
//! # async fn call_tool(_: &ToolCall, _: &str) -> Result<String, BoxError> { Ok(String::new()) }
//! async fn agent(run: Run, question: String) -> Result<String, BoxError> {
//!     run.repeat("turn", Transcript::ask(question), |run, mut chat| async move {
//!         let reply: Message = run.step("model", || ask_model(&chat)).retries(5).await?;
//!         chat.push(reply.clone());
//!         for call in &reply.tool_calls {
//!             let result = run.effect(call.name(), |effect| async move { call_tool(call, effect.key()).await });
//!             chat.answer(call, result.await);
//!         }
//!         Ok(if reply.tool_calls.is_empty() { Break(reply.text()) } else { Continue(chat) })
//!     })
//!     .await
//! }
//! ```
//!
//! # Valid, and repaired
//!
//! Providers refuse a transcript in which a tool call has no answer or an answer no call. [`Transcript::answer`] answers a
//! call whatever became of its step, a step that was given up included, so an agent as above never has such a transcript.
//! [`Transcript::repair`] is for those that come from elsewhere, and for agents that leave calls open.

mod transcript;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::transcript::{Repaired, Transcript};

/// Who says something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, as newer models call them.
    Developer,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
    /// A tool, which answers a call.
    Tool,
    /// One that is not known here.
    #[serde(untagged)]
    Other(String),
}

/// What is said: text, or parts as they came (text, images, audio).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Text.
    Text(String),
    /// Parts, as the API has them.
    Parts(Vec<Value>),
}

/// One message of a [`Transcript`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said; an assistant that only calls tools says nothing.
    #[serde(default)]
    pub content: Option<Content>,
    /// The calls of an assistant.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "or_none")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call a tool answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A call of a tool.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ToolCall {
    /// Its name, by which it is answered.
    pub id: String,
    /// Of which kind the tool is.
    #[serde(rename = "type", default = "function")]
    pub kind: String,
    /// The function that is called.
    pub function: Function,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What a [`ToolCall`] calls.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Function {
    /// The tool's name.
    pub name: String,
    /// Its arguments: JSON as the model wrote it, which may be none.
    pub arguments: String,
}

/// Models that call nothing may say `null`.
fn or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<ToolCall>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn function() -> String {
    "function".into()
}

impl Message {
    /// Text that somebody says.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        let (tool_calls, tool_call_id, more) = Default::default();
        Self { role, content: Some(Content::Text(text.into())), tool_calls, tool_call_id, more }
    }

    /// Instructions.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(Role::System, text)
    }

    /// What is asked.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, text)
    }

    /// What the model says.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(Role::Assistant, text)
    }

    /// A tool's answer to the call of this id.
    pub fn tool(call: impl Into<String>, text: impl Into<String>) -> Self {
        Self { tool_call_id: Some(call.into()), ..Self::new(Role::Tool, text) }
    }

    /// What is said in text: that of all parts together.
    pub fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        }
    }
}

impl ToolCall {
    /// A call of a function, with its arguments as JSON.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        let function = Function { name: name.into(), arguments: arguments.into() };
        Self { id: id.into(), kind: self::function(), function, more: Map::new() }
    }

    /// The tool's name.
    pub fn name(&self) -> &str {
        &self.function.name
    }

    /// The arguments, decoded.
    ///
    /// # Errors
    ///
    /// The model wrote no such JSON: something to [answer](Transcript::answer) it with.
    pub fn arguments<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.function.arguments)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As the API's own documentation shows them, and what some providers add.
    #[test]
    fn messages_come_back_as_they_came() {
        for json in [
            json!({ "role": "system", "content": "Be brief.", "name": "house" }),
            json!({ "role": "developer", "content": "Be brief." }),
            json!({ "role": "user", "content": [{ "type": "text", "text": "What is this?" },
                { "type": "image_url", "image_url": { "url": "https://example.org/a.png", "detail": "low" } }] }),
            json!({ "role": "assistant", "content": null, "refusal": null, "annotations": [], "tool_calls": [
                { "id": "call_1", "type": "function", "function": { "name": "f", "arguments": "{\"a\": 1}" } },
                { "id": "call_2", "type": "function", "index": 1, "function": { "name": "g", "arguments": "" } }] }),
            json!({ "role": "assistant", "content": "", "reasoning_content": "Hm." }),
            json!({ "role": "tool", "tool_call_id": "call_1", "content": "21" }),
            json!({ "role": "critic", "content": "No." }),
        ] {
            let message: Message = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(serde_json::to_value(&message).unwrap(), json);
        }
        let sloppy = json!({ "role": "assistant", "tool_calls": null });
        let message: Message = serde_json::from_value(sloppy).unwrap();
        assert_eq!(serde_json::to_value(&message).unwrap(), json!({ "role": "assistant", "content": null }));
    }

    #[test]
    fn text_is_that_of_all_parts() {
        let parts = json!([{ "type": "text", "text": "a" }, { "type": "image_url" }, { "type": "text", "text": "b" }]);
        let message: Message = serde_json::from_value(json!({ "role": "user", "content": parts })).unwrap();
        assert_eq!((message.text(), Message::user("a").text()), ("ab".into(), "a".into()));
        assert_eq!(ToolCall::new("1", "f", "[1]").arguments::<Vec<u32>>().unwrap(), [1]);
    }
}

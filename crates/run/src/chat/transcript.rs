//! A transcript that a chat API takes: each tool call has its one answer, right behind it.

use std::ops::{Deref, Range};

use serde::{Deserialize, Serialize};

use super::{Message, Role, ToolCall};
use crate::StepError;

/// What an agent and its tools have said, in order. Serializes to the list of its messages.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Transcript(Vec<Message>);

/// What [`Transcript::repair`] changed.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Repaired {
    /// The calls that got a synthetic result.
    pub interrupted: Vec<ToolCall>,
    /// The answers that were dropped: nobody had called, or it was answered before.
    pub dropped: Vec<Message>,
}

impl Repaired {
    /// Whether there was nothing to repair.
    pub fn is_empty(&self) -> bool {
        self.interrupted.is_empty() && self.dropped.is_empty()
    }
}

impl Transcript {
    /// What stands in for the result of a tool call that was interrupted and cannot be made again.
    pub const INTERRUPTED: &'static str =
        "The call was interrupted, and it is unknown whether it had an effect.";

    /// Begins with a question.
    pub fn ask(question: impl Into<String>) -> Self {
        Self(vec![Message::user(question)])
    }

    /// Adds a message.
    pub fn push(&mut self, message: Message) {
        self.0.push(message);
    }

    /// Answers a call with what became of its step: the result, or, for the model to deal with, the error.
    pub fn answer(&mut self, call: &ToolCall, result: Result<impl Into<String>, StepError>) {
        let text = match result {
            Ok(text) => text.into(),
            Err(error) if error.cause() == crate::FailureCause::GivenUp => {
                format!("{} {}", Self::INTERRUPTED, error.message())
            }
            Err(error) => format!("The call failed: {}", error.message()),
        };
        self.push(Message::tool(&call.id, text));
    }

    /// The calls of the last assistant that have no answer yet, in order.
    pub fn open_calls(&self) -> Vec<&ToolCall> {
        let Some(last) = self.0.iter().rposition(|message| message.role != Role::Tool) else {
            return Vec::new();
        };
        let mut open: Vec<_> = self.0[last].tool_calls.iter().collect();
        for answer in &self.0[last + 1..] {
            if let Some(index) = open.iter().position(|call| Some(&call.id) == answer.tool_call_id.as_ref()) {
                open.remove(index);
            }
        }
        open
    }

    /// Makes the transcript one that a chat API takes: each call without an answer gets one synthetic result
    /// ([`Transcript::INTERRUPTED`]), and answers without a call are dropped, those that come too late and second ones
    /// included. Repairing twice changes nothing more.
    ///
    /// Of the [open calls](Transcript::open_calls) at the end those are left alone that `runs_again` names: a call whose step
    /// the agent is about to make again needs no made-up answer.
    ///
    /// ```
    /// use milepost_run::chat::{Message, Role, ToolCall, Transcript};
    ///
    /// let call = ToolCall::new("call_1", "pay", "{}");
    /// let mut chat = Transcript::ask("Pay the bill.");
    /// chat.push(Message { tool_calls: vec![call.clone()], content: None, ..Message::assistant("") });
    /// assert!(chat.repair(|open| open.id == "call_1").is_empty());
    /// assert_eq!(chat.repair(|_| false).interrupted, [call]);
    /// assert_eq!(chat.last().unwrap().text(), Transcript::INTERRUPTED);
    /// ```
    pub fn repair(&mut self, runs_again: impl Fn(&ToolCall) -> bool) -> Repaired {
        let mut repaired = Repaired::default();
        let mut valid = Vec::with_capacity(self.0.len());
        let mut open: Vec<ToolCall> = Vec::new();
        for message in std::mem::take(&mut self.0) {
            if message.role == Role::Tool {
                match open.iter().position(|call| Some(&call.id) == message.tool_call_id.as_ref()) {
                    Some(index) => {
                        open.remove(index);
                        valid.push(message);
                    }
                    None => repaired.dropped.push(message),
                }
                continue;
            }
            interrupt(open.drain(..), &mut valid, &mut repaired);
            open.clone_from(&message.tool_calls);
            valid.push(message);
        }
        interrupt(open.into_iter().filter(|call| !runs_again(call)), &mut valid, &mut repaired);
        self.0 = valid;
        repaired
    }

    /// The messages that may be folded into one, so that the transcript gets shorter and stays valid: those behind the
    /// instructions at its beginning, except the newest, of which at least `keep` stay. No call is parted from its answer.
    ///
    /// ```
    /// # use milepost_run::{BoxError, Run, chat::{Message, Transcript}};
    /// # async fn summary_of(_: &[Message]) -> Result<String, BoxError> { Ok(String::new()) }
    /// # async fn compact(run: &Run, chat: &mut Transcript) -> Result<(), BoxError> {
    /// if chat.len() > 100 {
    ///     let old = chat.foldable(20);
    ///     let summary = run.step("summarise", || summary_of(&chat[old.clone()])).await?;
    ///     chat.fold(old, Message::user(format!("What happened so far: {summary}")));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn foldable(&self, keep: usize) -> Range<usize> {
        let instructs = |message: &Message| matches!(message.role, Role::System | Role::Developer);
        let first = self.0.iter().position(|message| !instructs(message)).unwrap_or(self.0.len());
        let mut end = self.0.len().saturating_sub(keep).max(first);
        // Answers follow their calls: who stays is no answer to one who goes.
        while end > first && self.0.get(end).is_some_and(|message| message.role == Role::Tool) {
            end -= 1;
        }
        // Nor are calls left behind whose answers are still to come.
        if end > first && end == self.0.len() && !self.open_calls().is_empty() {
            end = self.0.iter().rposition(|message| message.role != Role::Tool).unwrap_or(first).max(first);
        }
        first..end
    }

    /// Puts one message in the place of those.
    ///
    /// # Panics
    ///
    /// Where the transcript has no such messages.
    pub fn fold(&mut self, messages: Range<usize>, by: Message) {
        if !messages.is_empty() {
            self.0.splice(messages, [by]);
        }
    }
}

fn interrupt(open: impl Iterator<Item = ToolCall>, valid: &mut Vec<Message>, repaired: &mut Repaired) {
    for call in open {
        valid.push(Message::tool(&call.id, Transcript::INTERRUPTED));
        repaired.interrupted.push(call);
    }
}

impl Deref for Transcript {
    type Target = [Message];

    fn deref(&self) -> &[Message] {
        &self.0
    }
}

impl From<Vec<Message>> for Transcript {
    fn from(messages: Vec<Message>) -> Self {
        Self(messages)
    }
}

impl From<Transcript> for Vec<Message> {
    fn from(transcript: Transcript) -> Self {
        transcript.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any transcript at all, of few ids, so that they meet.
    fn any_transcript() -> impl Strategy<Value = Transcript> {
        let message = prop_oneof![
            Just(Message::user("u")),
            Just(Message::system("s")),
            prop::collection::vec(0..4u8, 0..4).prop_map(|ids| {
                let calls = ids.iter().map(|id| ToolCall::new(id.to_string(), "f", "{}")).collect();
                Message { tool_calls: calls, ..Message::assistant("a") }
            }),
            (0..4u8).prop_map(|id| Message::tool(id.to_string(), "t")),
            Just(Message { tool_call_id: None, ..Message::tool("", "t") }),
        ];
        prop::collection::vec(message, 0..24).prop_map(Transcript)
    }

    /// What a chat API checks: right behind an assistant its calls are answered, each once, and nothing else is.
    fn is_valid(messages: &[Message]) -> bool {
        let mut open: Vec<&str> = Vec::new();
        for message in messages {
            if message.role == Role::Tool {
                let call = message.tool_call_id.as_deref().unwrap_or("none");
                let Some(index) = open.iter().position(|id| *id == call) else { return false };
                open.remove(index);
            } else if open.is_empty() {
                open = message.tool_calls.iter().map(|call| &*call.id).collect();
            } else {
                return false;
            }
        }
        open.is_empty()
    }

    proptest! {
        #[test]
        fn a_repaired_transcript_is_valid_and_stays_as_it_is(mut chat in any_transcript()) {
            let (was_valid, before) = (is_valid(&chat), chat.clone());
            let repaired = chat.repair(|_| false);
            prop_assert!(is_valid(&chat), "{chat:?}");
            prop_assert_eq!(was_valid, repaired.is_empty());
            let (kept, of) = (chat.clone(), before.len() - repaired.dropped.len());
            prop_assert_eq!(kept.len(), of + repaired.interrupted.len(), "one result a call, and nothing else");
            let spoken = |chat: &Transcript| chat.iter().filter(|said| said.role != Role::Tool).cloned().collect::<Vec<_>>();
            prop_assert_eq!(spoken(&before), spoken(&chat), "nothing that was said is touched");
            prop_assert!(chat.repair(|_| false).is_empty());
            prop_assert_eq!(chat, kept);
        }

        /// An agent dies at any point of its transcript: what is left is valid once the open calls are made or repaired.
        #[test]
        fn a_transcript_that_was_cut_anywhere_is_repaired(mut chat in any_transcript(), cut in any::<prop::sample::Index>()) {
            chat.repair(|_| false);
            let whole: Vec<Message> = chat.into();
            let mut chat = Transcript(whole[..cut.index(whole.len() + 1)].to_vec());
            let open: Vec<ToolCall> = chat.open_calls().into_iter().cloned().collect();
            prop_assert!(chat.repair(|_| true).is_empty(), "calls that run again are left alone");
            let mut answered = chat.clone();
            open.iter().for_each(|call| answered.answer(call, Ok("done")));
            prop_assert!(is_valid(&answered));
            prop_assert_eq!(chat.repair(|_| false).interrupted, open);
            prop_assert!(is_valid(&chat));
        }

        #[test]
        fn folding_keeps_a_transcript_valid(mut chat in any_transcript(), keep in 0..30usize) {
            chat.repair(|_| false);
            let (before, old) = (chat.clone(), chat.foldable(keep));
            prop_assert!(old.end <= before.len().saturating_sub(keep).max(old.start));
            chat.fold(old.clone(), Message::user("so far"));
            prop_assert!(is_valid(&chat), "{before:?} without {old:?}");
            prop_assert!(chat.ends_with(&before[old.end..]));
        }
    }

    #[test]
    fn instructions_and_open_calls_are_not_folded() {
        let calls = Message { tool_calls: vec![ToolCall::new("1", "f", "{}")], ..Message::assistant("") };
        let chat = Transcript(vec![Message::system("s"), Message::user("u"), calls]);
        assert_eq!(chat.foldable(0), 1..2);
        assert_eq!(chat.foldable(1), 1..2);
        assert_eq!(chat.foldable(9), 1..1);
    }
}

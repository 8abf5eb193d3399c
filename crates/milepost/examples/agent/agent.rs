//! The agent itself: all that has to know of durability.

use std::{
    ops::ControlFlow::{Break, Continue},
    sync::Arc,
};

use milepost::{
    BoxError, Run,
    run::chat::{Message, Transcript},
};

use super::world::World;

pub(crate) const QUESTION: &str = "How warm is it in Oslo and in Cairo? Order a heater for every city in which it freezes, and tell me what you did.";

/// Asks the model, makes the calls that it wants made, and goes on until it has an answer; gives all that was said.
pub(crate) async fn agent(run: Run, question: String, world: Arc<World>) -> Result<Transcript, BoxError> {
    run.repeat("turn", Transcript::ask(question), |run, mut chat| {
        let world = world.clone();
        async move {
            // A step: once the model has answered, it is never asked the same again.
            let reply: Message = run.step("model", || world.ask_model(&chat)).retries(5).await?;
            chat.push(reply.clone());
            for call in &reply.tool_calls {
                // Its key is the same for every attempt in every process: whoever receives the call does it once.
                let result = run.effect(call.name(), |effect| world.call_tool(call, effect));
                chat.answer(call, result.await);
            }
            Ok(if reply.tool_calls.is_empty() { Break(chat) } else { Continue(chat) })
        }
    })
    .await
}

//! Agents: their transcripts are valid after a crash, whatever became of the calls that were under way.

use std::ops::ControlFlow::{Break, Continue};

use milepost_run::{
    Answer,
    chat::{Message, ToolCall, Transcript},
};

use crate::support::{Run, World, *};

on_every_store! {
    a_call_that_cannot_be_made_again_gets_one_synthetic_result,
    an_agent_resumes_with_what_was_said_and_no_new_input,
}

/// A model that calls two tools at once, and answers when it has both results.
fn model(chat: &Transcript) -> Work<Message> {
    assert!(chat.clone().repair(|_| false).is_empty(), "a provider would refuse this: {chat:?}");
    let calls = vec![ToolCall::new("call_1", "look", "{}"), ToolCall::new("call_2", "pay", "{}")];
    Ok(match chat.len() {
        1 => Message { content: None, tool_calls: calls, ..Message::assistant("") },
        _ => Message::assistant(format!(
            "I have: {}",
            chat.iter().skip(2).map(Message::text).collect::<Vec<_>>().join("; ")
        )),
    })
}

/// An agent whose calls are made once or not at all, and that dies in the second one.
fn agent(dies: &Tally, asked: &Tally, once: bool) -> impl Fn(Runner) -> Runner + use<> {
    let (dies, asked) = (dies.clone(), asked.clone());
    move |runner: Runner| {
        let (dies, asked) = (dies.clone(), asked.clone());
        runner.handler("work", move |run: Run, (): ()| {
            let (dies, asked) = (dies.clone(), asked.clone());
            async move {
                run.repeat("turn", Transcript::ask("Pay."), |run, mut chat| {
                    let (dies, asked) = (dies.clone(), asked.clone());
                    async move {
                        let reply = run.step("model", || async {
                            asked.add("model");
                            model(&chat)
                        });
                        let reply: Message = reply.await?;
                        chat.push(reply.clone());
                        for call in &reply.tool_calls {
                            let dies = dies.clone();
                            let result = run.effect(call.name(), |effect| {
                                let dies = dies.clone();
                                async move {
                                    if effect.step() == "pay" && effect.attempt() == 0 {
                                        dies.add("here");
                                        std::future::pending::<()>().await;
                                    }
                                    Work::Ok(format!("{} done", effect.step()))
                                }
                            });
                            let result = if once { result.once().await } else { result.await };
                            chat.answer(call, result);
                        }
                        Work::Ok(if reply.tool_calls.is_empty() { Break(chat) } else { Continue(chat) })
                    }
                })
                .await
            }
        })
    }
}

async fn a_call_that_cannot_be_made_again_gets_one_synthetic_result(world: &World) {
    let (dies, asked) = (Tally::default(), Tally::default());
    let work = agent(&dies, &asked, true);
    world.die_in(&work, "r", &dies).await;
    let runner = work(world.runner());
    let ended = runner.resume(&id("r")).await.unwrap().ended().await;
    assert!(matches!(ended, Ended::Waiting(_)), "it is in doubt: {ended}");
    let doubt = runner.in_doubt(&id("r")).await.unwrap().remove(0);
    runner.answer(&id("r"), &doubt, &Answer::give_up("nobody knows")).await.unwrap();
    let chat: Transcript = runner.resume(&id("r")).await.unwrap().output().await.unwrap();
    let said = format!("{} nobody knows", Transcript::INTERRUPTED);
    assert_eq!(chat.last().unwrap().text(), format!("I have: look done; {said}"));
    assert_eq!(chat.iter().filter(|message| message.text() == said).count(), 1);
    assert_eq!((dies.all().len(), asked.of("model")), (1, 2), "nothing was done again");
}

async fn an_agent_resumes_with_what_was_said_and_no_new_input(world: &World) {
    let (dies, asked) = (Tally::default(), Tally::default());
    let work = agent(&dies, &asked, false);
    world.die_in(&work, "r", &dies).await;
    let chat: Transcript = work(world.runner()).resume(&id("r")).await.unwrap().output().await.unwrap();
    assert_eq!(chat.len(), 5);
    assert_eq!(chat.last().unwrap().text(), "I have: look done; pay done");
    assert_eq!(asked.of("model"), 2, "it was asked nothing twice");
}

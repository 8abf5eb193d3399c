//! The README's agent: kill it at any moment and start it again.

#![expect(clippy::print_stdout, reason = "it is an example")]

use milepost::{BoxError, Run, RunId, Runner};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Reply {
    Answer(String),
    Call(String),
}

async fn ask_model(prompt: &str) -> Result<Reply, BoxError> {
    // … a request to the model of your choice …
    let seen = prompt.contains("21 degrees");
    Ok(if seen { Reply::Answer("It is warm.".into()) } else { Reply::Call("temperature".into()) })
}

async fn call_tool(call: &str, key: &str) -> Result<String, BoxError> {
    // … a request that carries `key`, so that whoever receives it does it once …
    Ok(format!("{call}: 21 degrees (asked under {key})"))
}

async fn agent(run: Run, question: String) -> Result<String, BoxError> {
    let mut prompt = question;
    loop {
        let call = match run.step("model", || ask_model(&prompt)).retries(5).await? {
            Reply::Answer(answer) => return Ok(answer),
            Reply::Call(call) => call,
        };
        let tool = run.effect("tool", |effect| {
            let call = call.clone();
            async move { call_tool(&call, effect.key()).await }
        });
        prompt = format!("{prompt}\n{}", tool.await?);
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let runner = Runner::new(milepost::connect("sqlite:agents.db").await?).handler("agent", agent);
    let answer: String = runner.run(RunId::new("question-7")?, "agent", "How warm is it?").await?;
    println!("{answer}");
    Ok(())
}

//! An agent that calls tools, killed in the middle of a tool call and resumed with a valid transcript.
//!
//! ```sh
//! cargo run --example agent                # in a SQLite file of its own, with a scripted model
//! cargo run --example agent -- URL         # in any store that `milepost::connect` takes and processes can share
//! OPENAI_API_KEY=… cargo run --example agent                     # with a real model; also OPENAI_BASE_URL, OPENAI_MODEL
//! ```

#![expect(clippy::print_stdout, reason = "it is an example")]

mod endpoint;
mod scripted;
mod tools;

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use milepost::{BoxError, Ids, Run, RunId, Runner, SystemIds};
use serde_json::{Value, json};

use crate::endpoint::Endpoint;

const QUESTION: &str = "How warm is it in Oslo and in Cairo, and how much is the difference?";

/// The agent: asks the model, does what it asks for, and goes on until it answers. Gives the transcript.
async fn agent(run: Run, question: String) -> Result<Vec<Value>, BoxError> {
    let endpoint = Endpoint::from_environment()?;
    let mut transcript = vec![json!({ "role": "user", "content": question })];
    loop {
        let reply = run.step("model", || endpoint.complete(&transcript)).retries(5).await?;
        transcript.push(reply.clone());
        let Some(calls) = reply["tool_calls"].as_array() else { return Ok(transcript) };
        for call in calls {
            let name = call["function"]["name"].as_str().unwrap_or_default();
            // The key is the same for every attempt: a tool that remembers it does a thing once.
            let result = run.effect(name, |effect| tools::call(call, effect));
            let content = match result.await {
                Ok(result) => result,
                Err(error) => error.to_string(), // told to the model, and the same after every crash
            };
            transcript.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": content }));
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--work", url, run] => work(url, RunId::new(run)?).await,
        [url] => {
            milepost::prepare(url).await?;
            show(url).await
        }
        _ => {
            let folder = tempfile::tempdir()?;
            show(&format!("sqlite:{}/agent.db", folder.path().display())).await
        }
    }
}

/// What the killed process does: it begins the run, or goes on with it.
async fn work(url: &str, run: RunId) -> Result<(), BoxError> {
    let settings = milepost::run::Settings::default().ttl(std::time::Duration::from_secs(2));
    let runner = Runner::new(milepost::connect(url).await?)
        .settings(settings)
        .observe(|_, happened| tools::tell(happened))
        .handler("agent", agent);
    let transcript: Vec<Value> = loop {
        match runner.run(run.clone(), "agent", QUESTION).await {
            // On a server the lease of a process that was killed runs out after its time.
            Err(error) if error.kind() == milepost::ErrorKind::LeaseHeld => {
                println!("the run is held: {error}");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            other => break other?,
        }
    };
    println!("TRANSCRIPT {}", Value::from(transcript));
    Ok(())
}

async fn show(url: &str) -> Result<(), BoxError> {
    let model = scripted::start_unless_given()?;
    let run = format!("agent-{:08x}", SystemIds.bits() as u32);
    println!("Run {run} asks: {QUESTION}");

    println!("\nThe first process:");
    let mut first = process(url, &run, &model)?;
    let mut tools = 0;
    for line in lines(&mut first) {
        println!("  {line}");
        tools += usize::from(line.starts_with("tool ") && line.ends_with("is called"));
        if tools == 2 {
            first.kill()?;
            println!("  … and is killed with -9 in the middle of that call.");
            break;
        }
    }
    first.wait()?;

    println!("\nThe second process:");
    let mut second = process(url, &run, &model)?;
    let mut transcript = Value::Null;
    for line in lines(&mut second) {
        match line.strip_prefix("TRANSCRIPT ") {
            Some(json) => transcript = serde_json::from_str(json)?,
            None => println!("  {line}"),
        }
    }
    if !second.wait()?.success() {
        return Err("the second process failed".into());
    }

    println!("\nThe transcript:");
    let transcript = transcript.as_array().cloned().unwrap_or_default();
    for message in &transcript {
        println!("  {}", tools::line(message));
    }
    tools::validate(&transcript)?;
    println!("\nIt is valid: every tool call has its one answer, and the model was asked nothing twice.");
    Ok(())
}

fn process(url: &str, run: &str, model: &[(String, String)]) -> Result<Child, BoxError> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["--work", url, run]).stdout(Stdio::piped()).stdin(Stdio::null());
    Ok(command.envs(model.iter().cloned()).spawn()?)
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> {
    let said = child.stdout.take().map(BufReader::new);
    said.into_iter().flat_map(|said| said.lines().map_while(Result::ok))
}

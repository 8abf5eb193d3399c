//! The example `agent`: as a user runs it, and killed with -9 at every durable write in turn.

use std::{
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use milepost::{
    RunId, Runner, SqliteStore, Store,
    run::{Settings, chat::Transcript},
};
use milepost_layers::{Deadly, Death};

use self::{agent::QUESTION, server::Server, world::World};
use crate::example::program;

#[path = "../../examples/agent/agent.rs"]
mod agent;
#[path = "../../examples/agent/server.rs"]
mod server;
#[path = "../../examples/agent/world.rs"]
mod world;

const ANSWER: &str = "Oslo has -4 °C and Cairo 21 °C. I sent a heater to Oslo: order 1.";

#[test]
fn the_example_is_killed_in_a_tool_call_and_ends_with_a_valid_transcript() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/agent.db", folder.path().display());
    for store in [vec![], vec!["--store", &*url]] {
        let shown = Command::new(program("agent")).args(store).env_remove("OPENAI_API_KEY").output().unwrap();
        let said = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.status.success(), "{said}{}", String::from_utf8_lossy(&shown.stderr));
        let (first, second) = said.split_once("The second process").unwrap();
        let asked = |part: &str| part.matches("model: is asked").count();
        assert_eq!((asked(first), asked(second)), (2, 1), "the model is asked nothing twice: {said}");
        assert!(first.trim_end().ends_with("in the middle of that call: the shop has the order."), "{said}");
        assert!(second.contains("attempt 1, with the same key"), "{said}");
        assert!(second.contains(ANSWER), "{said}");
        assert!(second.contains("every tool call has its one answer"), "{said}");
        assert!(second.contains("  order 1, asked for 2 times: "), "{said}");
        assert!(!second.contains("order 2"), "what was ordered twice came once: {said}");
    }
}

/// Not a test of its own: what the killed processes run. Outside of one it has nothing to do.
#[test]
fn child() {
    let Ok(task) = std::env::var("MILEPOST_AGENT_KILL") else { return };
    let [url, server, at, after] = task.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (at, after) = (at.parse().unwrap(), after == "true");
    runtime.block_on(async {
        let store = SqliteStore::connect(url).await.unwrap();
        let world = Arc::new(World::new(format!("{server}/v1"), server.to_owned()).unwrap());
        let death = if after { Death::After(at) } else { Death::Before(at) };
        let runner = Runner::new(Deadly::new(store.clone(), Some(death)))
            .settings(Settings::default().ttl(Duration::from_secs(2)))
            .handler("agent", move |run, question| agent::agent(run, question, world.clone()));
        let chat: Transcript = runner.run(RunId::from_static("agent"), "agent", QUESTION).await.unwrap();
        #[expect(clippy::print_stdout, reason = "the parent reads it")]
        let say = |json: String| println!("TRANSCRIPT {json}");
        say(serde_json::to_string(&chat).unwrap());
        store.close().await.unwrap();
    });
}

fn process(url: &str, server: &Server, at: u64, after: bool) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "agents::child", "--nocapture", "--test-threads=1"])
        .env("MILEPOST_AGENT_KILL", format!("{url} {} {at} {after}", server.address))
        .output()
        .unwrap()
}

fn transcript_of(process: &Output) -> Option<String> {
    let said = String::from_utf8_lossy(&process.stdout);
    said.lines().find_map(|line| line.split_once("TRANSCRIPT ").map(|(_, json)| json.to_owned()))
}

/// One order, whoever asked for it how often.
fn audit(server: &Server, transcript: &str, undisturbed: &str, said: &str) {
    assert_eq!(transcript, undisturbed, "{said}");
    let orders: Vec<_> = server.orders().into_values().collect();
    assert_eq!(orders.len(), 1, "{said}: one key, one order");
    assert_eq!(orders[0].number, 1, "{said}");
    assert!(orders[0].requests.len() <= 2, "{said}");
    assert!(orders[0].requests.iter().all(|request| *request == orders[0].requests[0]), "{said}");
}

#[test]
fn killed_at_every_write_in_turn_it_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}/{name}.db", folder.path().display());
    let server = Server::start(None).unwrap();
    let undisturbed = transcript_of(&process(&url("undisturbed"), &server, 0, false)).unwrap();
    let mut chat: Transcript = serde_json::from_str(&undisturbed).unwrap();
    assert!(chat.repair(|_| false).is_empty());
    assert_eq!(chat.last().unwrap().text(), ANSWER);
    for after in [false, true] {
        for at in 1u64.. {
            let said = format!("killed {} write {at}", if after { "after" } else { "before" });
            let (url, server) = (url(&format!("{after}-{at}")), Server::start(None).unwrap());
            let first = process(&url, &server, at, after);
            if let Some(transcript) = transcript_of(&first) {
                assert!(at > 14, "{at} writes are fewer than the agent has");
                audit(&server, &transcript, &undisturbed, &said);
                break;
            }
            let unheard = String::from_utf8_lossy(&first.stderr);
            assert!(!unheard.contains("panicked"), "{said}: {unheard}");
            let second = process(&url, &server, 0, false);
            let transcript = transcript_of(&second);
            let transcript =
                transcript.unwrap_or_else(|| panic!("{said}: {}", String::from_utf8_lossy(&second.stderr)));
            audit(&server, &transcript, &undisturbed, &said);
        }
    }
}

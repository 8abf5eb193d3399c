//! The example `agent`: as a user runs it, and killed with -9 at every durable write in turn.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use milepost::{
    RunId, Runner, Store,
    run::{Settings, chat::Transcript},
};
use milepost_layers::{Deadly, Death};

use self::{agent::QUESTION, server::Server, world::World};
use crate::{
    example::program,
    matrix::{Backend, each_death, itself, named, on_every_backend, patiently, said, text},
};

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

/// A service that knows nobody's key; its address.
fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            // All that the caller has to say: it hears nothing before.
            let _ = stream.read_to_end(&mut Vec::new());
            let answer = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 7\r\nconnection: close\r\n\r\nbad key";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn a_model_that_refuses_is_told_in_words() {
    let shown = Command::new(program("agent"))
        .env("OPENAI_API_KEY", "none")
        .env("OPENAI_BASE_URL", refusing())
        .output()
        .unwrap();
    let (said, failed) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(!shown.status.success(), "{said}");
    assert!(
        said.contains("model: failed: ")
            && said.contains("/chat/completions answers 401 Unauthorized: bad key"),
        "{said}"
    );
    assert!(said.contains("model: is tried again, attempt 1, with the same key"), "{said}");
    assert!(said.contains("ordered nothing"), "{said}");
    assert!(failed.lines().all(|line| line.starts_with("error: ")), "{failed}");
}

/// Not a test of its own: what the killed processes run. Outside of one it has nothing to do.
#[test]
fn child() {
    let Ok(task) = std::env::var("MILEPOST_AGENT_KILL") else { return };
    let [url, name, server] = task.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let death = std::env::var("MILEPOST_AGENT_DIES").ok().map(|death| death.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        milepost::prepare(url).await.unwrap();
        let store = milepost::connect(url).await.unwrap();
        let world = Arc::new(World::new(format!("{server}/v1"), server.to_owned()).unwrap());
        let runner = Runner::new(Deadly::new(store.clone(), death))
            .settings(Settings::default().ttl(Duration::from_millis(400)).poison_after(1000))
            .handler("agent", move |run, question| agent::agent(run, question, world.clone()));
        let chat: Transcript = patiently(&runner, &RunId::new(name).unwrap(), "agent", QUESTION).await;
        #[expect(clippy::print_stdout, reason = "the parent reads it")]
        let say = |json: String| println!("TRANSCRIPT {json}");
        say(serde_json::to_string(&chat).unwrap());
        store.close().await.unwrap();
    });
}

fn process(url: &str, name: &str, server: &Server, dies: Option<Death>) -> Output {
    let task = format!("{url} {name} {}", server.address);
    itself("agents::child", &[("MILEPOST_AGENT_KILL", task)], "MILEPOST_AGENT_DIES", dies)
}

fn transcript_of(process: &Output) -> Option<String> {
    said(process, "TRANSCRIPT ")
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

fn matrix(backend: &Backend) {
    let folder = tempfile::tempdir().unwrap();
    let prefix = format!("a{:08x}", milepost::Ids::bits(&milepost::SystemIds) as u32);
    let server = Server::start(None).unwrap();
    let name = format!("{prefix}-undisturbed");
    let undisturbed = process(&backend.url(folder.path(), &name), &name, &server, None);
    let undisturbed = transcript_of(&undisturbed).unwrap_or_else(|| panic!("{}", text(&undisturbed)));
    let mut chat: Transcript = serde_json::from_str(&undisturbed).unwrap();
    assert!(chat.repair(|_| false).is_empty());
    assert_eq!(chat.last().unwrap().text(), ANSWER);
    let deaths = each_death(backend, |death| {
        let name = named(&prefix, death);
        let (url, server) = (backend.url(folder.path(), &name), Server::start(None).unwrap());
        let first = process(&url, &name, &server, Some(death));
        let said = format!("{death}: {}", text(&first));
        if let Some(transcript) = transcript_of(&first) {
            audit(&server, &transcript, &undisturbed, &said);
            return true;
        }
        assert!(!said.contains("panicked"), "{said}");
        let second = process(&url, &name, &server, None);
        let said = format!("{said}\n{}", text(&second));
        let transcript = transcript_of(&second).unwrap_or_else(|| panic!("{said}"));
        audit(&server, &transcript, &undisturbed, &said);
        crate::matrix::audit(&url, &name, &said);
        false
    });
    assert!(deaths > 28 / backend.stride, "{deaths} deaths are fewer than the agent has writes");
}

on_every_backend!(
    sqlite: killed_at_every_write_in_turn_it_ends_with_the_same_bytes,
    postgres: killed_at_every_write_in_turn_it_ends_with_the_same_bytes_on_postgres,
    redis: killed_at_every_tenth_write_it_ends_with_the_same_bytes_on_redis,
    folder: killed_at_every_tenth_write_it_ends_with_the_same_bytes_in_a_folder,
    matrix
);

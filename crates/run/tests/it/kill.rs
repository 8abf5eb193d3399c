//! Real processes, killed with -9 at every durable write in turn: before the write reaches the store, and after it has,
//! with the answer unheard. The next process ends with the same result, no finished step runs again, and every side
//! effect happens once at a receiver that honours the idempotency key.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output},
    sync::{Arc, Mutex},
    time::Duration,
};

use milepost_core::{Store, Timestamp};
use milepost_layers::{Deadly, Death};
use milepost_run::{Retry, Uuid};
use milepost_store_sqlite::SqliteStore;
use serde::{Deserialize, Serialize};

use crate::support::{Run, World, *};

const RUN: &str = "scripted";

/// What the scripted run returns.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Script {
    at: Timestamp,
    id: Uuid,
    draw: u64,
    /// What the receiver answered to each step, in order.
    answers: Vec<String>,
}

/// Has an effect at the receiver, and gives its answer.
async fn tell(port: u16, key: &str, what: &str) -> Work<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    writeln!(stream, "{key} {what}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Thirty steps: one after another, side by side, with a retry, a wait for an instant and one for a signal in between.
async fn scripted(run: Run, port: u16) -> Work<Script> {
    let (at, id, draw) = (run.now(), run.uuid(), run.random());
    let mut answers = Vec::new();
    for n in 0..12 {
        let what = format!("serial {n}");
        answers.push(
            run.effect("serial", |effect| {
                let what = what.clone();
                async move { tell(port, effect.key(), &what).await }
            })
            .await?,
        );
    }
    run.sleep(Duration::from_millis(1)).await;
    let parallel = run.map(0..12u32, 4, u32::to_string, |run, n| async move {
        run.effect(
            "parallel",
            |effect| async move { tell(port, effect.key(), &format!("parallel {n}")).await },
        )
        .await
    });
    answers.extend(parallel.await?);
    answers.push(run.signal::<String>("go").await?);
    let shaky = run.effect("shaky", |effect| async move {
        if effect.attempt() == 0 {
            return Err(BoxError::from("the first attempt always fails"));
        }
        tell(port, effect.key(), "shaky").await
    });
    answers.push(shaky.retry(Retry::times(9).base(Duration::from_millis(1))).await?);
    for n in 0..5 {
        let what = format!("last {n} {draw}");
        answers.push(
            run.effect("last", |effect| {
                let what = what.clone();
                async move { tell(port, effect.key(), &what).await }
            })
            .await?,
        );
    }
    Ok(Script { at, id, draw, answers })
}

/// Remembers what each key was answered first: the answer counts the keys, so an effect that happens twice shows.
struct Receiver {
    port: u16,
    calls: Arc<Mutex<HashMap<String, Vec<String>>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let calls = Arc::<Mutex<HashMap<String, Vec<String>>>>::default();
        let kept = calls.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                // A caller that was killed has sent nothing, or does not hear the answer.
                if BufReader::new(&stream).read_line(&mut line).is_err() || !line.ends_with('\n') {
                    continue;
                }
                let (key, what) = line.trim().split_once(' ').unwrap();
                let mut calls = kept.lock().unwrap();
                calls.entry(key.into()).or_default().push(what.into());
                let _ = writeln!(stream, "done: {what}");
            }
        });
        Self { port, calls }
    }

    /// Every call of every key since it was asked last.
    fn take(&self) -> HashMap<String, Vec<String>> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

/// Not a test of its own: what the killed processes run. Outside of one it has nothing to do.
#[test]
fn child() {
    let Ok(task) = std::env::var("MILEPOST_RUN_KILL") else { return };
    let [url, port, at, after] = task.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let port: u16 = port.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::connect(url).await.unwrap();
        let at = at.parse().unwrap();
        let death = if after == "true" { Death::After(at) } else { Death::Before(at) };
        let deadly = Deadly::new(store.clone(), Some(death));
        let runner = Runner::new(deadly).settings(brisk().linger(Duration::from_secs(60)).poison_after(1000));
        let runner = runner.handler("scripted", scripted);
        let start = runner.start(id(RUN), "scripted", &port).or_resume().await.unwrap();
        // From outside: these writes are not the run's.
        let _ = Runner::new(store.clone()).signal(&id(RUN), "go", "went").await;
        let output: Script = start.output().await.unwrap();
        #[expect(clippy::print_stdout, reason = "the parent reads it")]
        let say = |json: String| println!("OUTPUT {json}");
        say(serde_json::to_string(&output).unwrap());
        store.close().await.unwrap();
    });
}

fn process(url: &str, port: u16, at: u64, after: bool) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
        .env("MILEPOST_RUN_KILL", format!("{url} {port} {at} {after}"))
        .output()
        .unwrap()
}

fn output_of(process: &Output) -> Option<Script> {
    let said = String::from_utf8_lossy(&process.stdout);
    let json = said.lines().find_map(|line| line.split_once("OUTPUT ").map(|(_, json)| json.to_owned()))?;
    Some(serde_json::from_str(&json).unwrap())
}

fn expected(script: &Script) -> Vec<String> {
    let serial = (0..12).map(|n| format!("done: serial {n}"));
    let parallel = (0..12).map(|n| format!("done: parallel {n}"));
    let middle = ["went".to_owned(), "done: shaky".to_owned()];
    let last = (0..5).map(|n| format!("done: last {n} {}", script.draw));
    serial.chain(parallel).chain(middle).chain(last).collect()
}

/// What is left after a death and a resume is as if nobody had died.
async fn audit(url: &str, output: &Script, calls: &HashMap<String, Vec<String>>, said: &str) {
    assert_eq!(output.answers, expected(output), "{said}");
    let world = World::over(Arc::new(SqliteStore::connect(url).await.unwrap()), None);
    assert_eq!(world.head(&id(RUN)).await.status(), Status::Completed, "{said}");
    assert_eq!(calls.len(), 30, "{said}: thirty steps, thirty keys");
    let (mut epoch, mut done, mut began) = (0, HashMap::new(), HashMap::<String, u64>::new());
    let mut drawn = Vec::new();
    for logged in world.log(&id(RUN)).await {
        assert!(logged.epoch >= epoch, "{said}: two drove the run at once");
        epoch = logged.epoch;
        let at = logged.at().to_owned();
        match &*logged.kind {
            "step-began" => {
                assert!(!done.contains_key(&at), "{said}: finished, and begun again at {at}");
                *began.entry(at).or_default() += 1;
            }
            "step-done" => assert!(done.insert(at.clone(), epoch).is_none(), "{said}: two results at {at}"),
            "drawn" => drawn.push(logged.event["value"]["json"].clone()),
            _ => {}
        }
    }
    assert_eq!(done.len(), 30, "{said}");
    let returned =
        [serde_json::json!(output.at), serde_json::json!(output.id), serde_json::json!(output.draw)];
    assert_eq!(drawn, returned, "{said}: what was drawn first is what was returned");
    let attempts: u64 = began.values().sum();
    let made: usize = calls.values().map(Vec::len).sum();
    // One attempt of the shaky step never gets as far as the receiver.
    assert!((made as u64) < attempts, "{said}: {made} calls of {attempts} attempts");
    for calls in calls.values() {
        assert!(calls.iter().all(|call| *call == calls[0]), "{said}: one key, one effect: {calls:?}");
    }
    world.store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_write_in_turn_it_ends_the_same() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    for after in [false, true] {
        for at in 1u64.. {
            let said = format!("killed {} write {at}", if after { "after" } else { "before" });
            let url = format!("sqlite:{}/{after}-{at}.db", folder.path().display());
            let first = process(&url, receiver.port, at, after);
            if let Some(output) = output_of(&first) {
                assert!(at > 50, "{at} writes are fewer than the script has");
                audit(&url, &output, &receiver.take(), &said).await;
                break;
            }
            let unheard = String::from_utf8_lossy(&first.stderr);
            assert!(!unheard.contains("panicked"), "{said}: {unheard}");
            let second = process(&url, receiver.port, 0, false);
            let output = output_of(&second);
            let output =
                output.unwrap_or_else(|| panic!("{said}: {}", String::from_utf8_lossy(&second.stderr)));
            audit(&url, &output, &receiver.take(), &said).await;
            // Once it has ended, a third process does no work and says the same.
            if at % 20 == 0 {
                let third = process(&url, receiver.port, 0, false);
                assert_eq!(output_of(&third).as_ref(), Some(&output), "{said}");
                assert!(receiver.take().is_empty(), "{said}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_it_ends_the_same() {
    use milepost_core::{Ids, SeededIds};
    let seed = std::env::var("MILEPOST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4711);
    let random = SeededIds::new(seed);
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    for round in 0..6 {
        let url = format!("sqlite:{}/{round}.db", folder.path().display());
        let mut deaths = 0;
        let output = loop {
            let bits = random.bits();
            // Early in its life each time; from the thirtieth death on it is let live.
            let at = if deaths < 30 { 2 + (bits as u64 >> 8) % 8 } else { 0 };
            match output_of(&process(&url, receiver.port, at, bits & 1 == 1)) {
                Some(output) => break output,
                None => deaths += 1,
            }
        };
        let said = format!("MILEPOST_SEED={seed}, round {round}, {deaths} deaths");
        assert!(deaths > 3, "{said}");
        audit(&url, &output, &receiver.take(), &said).await;
    }
}

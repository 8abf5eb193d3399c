//! A scripted run of thirty steps with children, killed with -9 at each of its durable writes in turn: before the write
//! reaches the store, and after it has, with the answer unheard. The next process ends with the same result, no finished
//! step runs again, and every side effect happens once at a receiver that honours the idempotency key.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::Output,
    time::Duration,
};

use milepost::{
    BoxError, ErrorKind, Ids, Retry, Run, RunId, Runner, SeededIds, Status, Store, Timestamp,
    run::{Settings, Uuid},
};
use milepost_layers::{Deadly, Death};
use milepost_servers::Receiver;
use serde::{Deserialize, Serialize};

use crate::matrix::{Backend, audit, each_death, itself, named, on_every_backend, patiently, said, text};

type Work<T> = Result<T, BoxError>;

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

/// A step that has this effect.
async fn effect(run: &Run, step: &str, port: u16, what: String) -> Work<String> {
    let told = run.effect(step, |effect| {
        let what = what.clone();
        async move { tell(port, effect.key(), &what).await }
    });
    Ok(told.await?)
}

/// A child of the scripted run: one step.
async fn told(run: Run, (port, n): (u16, u32)) -> Work<String> {
    effect(&run, "tell", port, format!("child {n}")).await
}

/// Thirty steps: one after another, side by side, with a retry, a wait for an instant, one for a signal, and three children in
/// between.
async fn scripted(run: Run, port: u16) -> Work<Script> {
    let (at, id, draw) = (run.now(), run.uuid(), run.random());
    let mut answers = Vec::new();
    for n in 0..12 {
        answers.push(effect(&run, "serial", port, format!("serial {n}")).await?);
    }
    run.sleep(Duration::from_millis(1)).await;
    let parallel = run.map(0..12u32, 4, u32::to_string, |run, n| async move {
        effect(&run, "parallel", port, format!("parallel {n}")).await
    });
    answers.extend(parallel.await?);
    let children = run.map(0..3u32, 3, u32::to_string, |run, n| async move {
        Work::Ok(run.child::<String>(format!("c{n}"), "told", &(port, n)).await?)
    });
    answers.extend(children.await?);
    answers.push(run.signal::<String>("go").await?);
    let shaky = run.effect("shaky", |effect| async move {
        if effect.attempt() == 0 {
            return Err(BoxError::from("the first attempt always fails"));
        }
        tell(port, effect.key(), "shaky").await
    });
    answers.push(shaky.retry(Retry::times(9).base(Duration::from_millis(1))).await?);
    for n in 0..5 {
        answers.push(effect(&run, "last", port, format!("last {n} {draw}")).await?);
    }
    Ok(Script { at, id, draw, answers })
}

/// Not a test of its own: what the killed processes run. Outside of one it has nothing to do.
#[test]
fn child() {
    let Ok(task) = std::env::var("MILEPOST_SCRIPT") else { return };
    let [url, name, port] = task.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let (run, port): (_, u16) = (RunId::new(name).unwrap(), port.parse().unwrap());
    let death = std::env::var("MILEPOST_SCRIPT_DIES").ok().map(|death| death.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        milepost::prepare(url).await.unwrap();
        let store = milepost::connect(url).await.unwrap();
        let settings = Settings::default().ttl(Duration::from_millis(400)).poison_after(1000);
        let runner = Runner::new(Deadly::new(store.clone(), death)).settings(settings);
        let runner = runner.handler("scripted", scripted).handler("told", told);
        let output = async { patiently::<_, Script>(&runner, &run, "scripted", &port).await };
        // From outside: these writes are not the run's.
        let outside = Runner::new(store.clone());
        let sends = async {
            while outside
                .signal(&run, "go", "went")
                .await
                .is_err_and(|error| error.kind() != ErrorKind::Finished)
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (output, ()) = tokio::join!(output, sends);
        #[expect(clippy::print_stdout, reason = "the parent reads it")]
        let say = |json: String| println!("OUTPUT {json}");
        say(serde_json::to_string(&output).unwrap());
        store.close().await.unwrap();
    });
}

fn process(url: &str, name: &str, receiver: &Receiver, dies: Option<Death>) -> Output {
    let task = format!("{url} {name} {}", receiver.port());
    itself("scripted::child", &[("MILEPOST_SCRIPT", task)], "MILEPOST_SCRIPT_DIES", dies)
}

fn output_of(process: &Output) -> Option<Script> {
    said(process, "OUTPUT ").map(|json| serde_json::from_str(&json).unwrap())
}

fn expected(script: &Script) -> Vec<String> {
    let told = |what: &'static str, count| (0..count).map(move |n| format!("done: {what} {n}"));
    let middle = ["went".to_owned(), "done: shaky".to_owned()];
    let last = told("last", 5).map(|last| format!("{last} {}", script.draw));
    told("serial", 12).chain(told("parallel", 12)).chain(told("child", 3)).chain(middle).chain(last).collect()
}

/// What is left after deaths and a resume is as if nobody had died.
fn look(url: &str, name: &str, output: &Script, calls: &HashMap<String, Vec<String>>, said: &str) {
    assert_eq!(output.answers, expected(output), "{said}");
    let (mut steps, mut attempts, mut runs) = (0, 0, 0);
    for (head, events) in audit(url, name, said) {
        assert_eq!(head.status(), Status::Completed, "{said}: {}", head.run);
        let of = |kind: &str| {
            events.iter().filter(|(of, _)| of == kind).map(|(_, event)| event).collect::<Vec<_>>()
        };
        (steps, attempts, runs) =
            (steps + of("step-done").len(), attempts + of("step-began").len(), runs + 1);
        if head.run.as_str() == name {
            assert_eq!((of("child-began").len(), of("child-settled").len()), (3, 3), "{said}");
            let drawn: Vec<_> = of("drawn").iter().map(|event| event["value"]["json"].clone()).collect();
            let returned =
                [serde_json::json!(output.at), serde_json::json!(output.id), serde_json::json!(output.draw)];
            assert_eq!(drawn, returned, "{said}: what was drawn first is what was returned");
        }
    }
    assert_eq!((runs, steps), (4, 33), "{said}: thirty steps, and one of each of three children");
    assert_eq!(calls.len(), 33, "{said}: as many keys");
    let made: usize = calls.values().map(Vec::len).sum();
    // One attempt of the shaky step never gets as far as the receiver.
    assert!(made < attempts, "{said}: {made} calls of {attempts} attempts");
    for calls in calls.values() {
        assert!(calls.iter().all(|call| *call == calls[0]), "{said}: one key, one effect: {calls:?}");
    }
}

fn matrix(backend: &Backend) {
    let folder = tempfile::tempdir().unwrap();
    let prefix = format!("s{:08x}", milepost::SystemIds.bits() as u32);
    let deaths = each_death(backend, |death| {
        let (name, receiver) = (named(&prefix, death), Receiver::start().unwrap());
        let url = backend.url(folder.path(), &name);
        let first = process(&url, &name, &receiver, Some(death));
        let mut said = format!("{death}: {}", text(&first));
        if let Some(output) = output_of(&first) {
            look(&url, &name, &output, &receiver.take(), &said);
            return true;
        }
        assert!(!said.contains("panicked"), "{said}");
        let second = process(&url, &name, &receiver, None);
        said += &text(&second);
        let output = output_of(&second).unwrap_or_else(|| panic!("{said}"));
        look(&url, &name, &output, &receiver.take(), &said);
        // Once it has ended, a third process does no work and says the same.
        if matches!(death, Death::Before(write) if backend.stride > 1 || write % 5 == 0) {
            let third = process(&url, &name, &receiver, None);
            assert_eq!(output_of(&third).as_ref(), Some(&output), "{said}");
            assert!(receiver.take().is_empty(), "{said}");
        }
        false
    });
    assert!(deaths > 132 / backend.stride, "{deaths} deaths are fewer than the script has writes");
}

on_every_backend!(
    sqlite: killed_at_every_write_in_turn_it_ends_the_same_on_sqlite,
    postgres: killed_at_every_write_in_turn_it_ends_the_same_on_postgres,
    redis: killed_at_every_tenth_write_it_ends_the_same_on_redis,
    folder: killed_at_every_tenth_write_it_ends_the_same_in_a_folder,
    matrix
);

#[test]
fn killed_again_and_again_it_ends_the_same() {
    let seed = std::env::var("MILEPOST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4711);
    let random = SeededIds::new(seed);
    let receiver = Receiver::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for round in 0..6 {
        let url = format!("sqlite:{}/{round}.db", folder.path().display());
        let mut deaths = 0;
        let output = loop {
            let bits = random.bits();
            // Early in its life each time; from the thirtieth death on it is let live.
            let at = 2 + (bits as u64 >> 8) % 8;
            let death = if bits & 1 == 1 { Death::After(at) } else { Death::Before(at) };
            match output_of(&process(&url, "again", &receiver, (deaths < 30).then_some(death))) {
                Some(output) => break output,
                None => deaths += 1,
            }
        };
        let said = format!("MILEPOST_SEED={seed}, round {round}, {deaths} deaths");
        assert!(deaths > 3, "{said}");
        look(&url, "again", &output, &receiver.take(), &said);
    }
}

//! How states become bytes: chosen by the program, never by what is stored.

use std::collections::BTreeMap;

use super::*;

cases! { checkpointer:
    /// States of every shape come back in the compact codec, and in JSON.
    states_of_every_shape_come_back [],
    /// States and outputs of a JSON run are JSON.
    a_json_output_is_json [],
    /// A run of another codec is `Undecodable`, and stays resumable by the right one.
    another_codec_is_undecodable_and_harmless [],
    /// A run of another type is `Undecodable`, and stays resumable by the right one.
    another_type_is_undecodable_and_harmless [],
    /// Bytes of every value, none and many come back as they were given.
    bytes_of_every_value_come_back [],
}

#[derive(Clone, PartialEq, Debug, Default, serde::Serialize, serde::Deserialize)]
enum Phase {
    #[default]
    Idle,
    Busy {
        done: u32,
        total: Option<u64>,
    },
    Done(String),
}

/// A state as programs have them.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Shape {
    name: String,
    counts: BTreeMap<String, i64>,
    phases: Vec<Phase>,
    nested: Option<Box<Shape>>,
    bytes: Vec<u8>,
}

fn shapes() -> Vec<Shape> {
    let plain = Shape { name: "näme \0 🦀".into(), bytes: (0..=255).collect(), ..Shape::default() };
    let counts = [("a".to_owned(), i64::MIN), (String::new(), i64::MAX)].into();
    let phases = vec![
        Phase::Idle,
        Phase::Busy { done: u32::MAX, total: Some(u64::MAX) },
        Phase::Busy { done: 0, total: None },
        Phase::Done(String::new()),
    ];
    let full = Shape { counts, phases, nested: Some(Box::new(plain.clone())), ..plain.clone() };
    vec![Shape::default(), plain, full.clone(), Shape { nested: None, ..full }, Shape::default()]
}

async fn shaped<C: Codec>(ctx: &Context, label: &str, codec: C) -> Verdict {
    let run = ctx.run(label);
    let mut last = None;
    for shape in shapes() {
        let again = checkpoints(ctx).begin_state_in(codec.clone(), begin(&run), Shape::default).await?;
        let mut driver = started(again)?;
        expect_eq("the state of a resume", driver.state(), &last.unwrap_or_default())?;
        driver.update(|state| *state = shape.clone()).await?;
        driver.flush().await?;
        let stored: Option<Shape> = state_at(&*ctx.b, &run, None, codec.clone()).await?;
        let stored = stored.unwrap_or_default();
        expect_eq("the state that is stored", &stored, &shape)?;
        driver.release(Wake::now()).await?;
        last = Some(shape);
    }
    expect_eq("how many opens there were", ctx.head(&run).await?.fence.epoch, 5)
}

async fn states_of_every_shape_come_back(ctx: &Context) -> Verdict {
    shaped(ctx, "compact", Compact).await?;
    shaped(ctx, "json", Json).await
}

async fn a_json_output_is_json(ctx: &Context) -> Verdict {
    let run = ctx.run("json");
    let mut driver = started(checkpoints(ctx).begin_state_in(Json, begin(&run), || 1u64).await?)?;
    driver.update(|state| *state = 7).await?;
    driver.complete(&vec!["a", "b"]).await?;
    let output = Bytes::from_static(br#"["a","b"]"#);
    expect_eq("the outcome", ctx.head(&run).await?.outcome, Some(Outcome::Completed { output }))?;
    let stored: Option<u64> = state_at(&*ctx.b, &run, None, Json).await?;
    expect_eq("the state", stored, Some(7))
}

/// After somebody else could not read it the run must be there for the right one, as it was.
async fn still_there(ctx: &Context, run: &RunId, records: Cursor) -> Verdict {
    let head = ctx.head(run).await?;
    expect_eq("its status", head.status(), Status::Interrupted)?;
    expect_eq("its cursor", head.cursor, records)?;
    let mut driver = started(checkpoints(ctx).begin_state_in(Json, begin(run), Vec::new).await?)?;
    expect_eq("what the right one starts from", driver.state(), &vec![1u64, 2])?;
    driver.update(|state| state.push(3)).await?;
    driver.release(Wake::now()).await?;
    let stored: Option<Vec<u64>> = state_at(&*ctx.b, run, None, Json).await?;
    expect_eq("the newest state", stored, Some(vec![1, 2, 3]))
}

/// A JSON run that was let go of.
async fn json_run(ctx: &Context, run: &RunId) -> Verdict {
    let mut driver = started(checkpoints(ctx).begin_state_in(Json, begin(run), Vec::<u64>::new).await?)?;
    driver.update(|state| state.push(1)).await?;
    driver.update(|state| state.push(2)).await?;
    driver.release(Wake::now()).await?;
    Ok(())
}

async fn another_codec_is_undecodable_and_harmless(ctx: &Context) -> Verdict {
    let run = ctx.run("json");
    json_run(ctx, &run).await?;
    let others = over(ctx, ctx.b.clone());
    let compact = others.begin_state(begin(&run), Vec::<u64>::new).await;
    fails("a resume by the compact codec", compact, ErrorKind::Undecodable)?;
    let bytes = others.begin(begin(&run)).await;
    fails("a resume by bytes", bytes, ErrorKind::Undecodable)?;
    let saver = others.begin_saver::<Vec<u64>, _>(Compact, begin(&run)).await;
    fails("a resume by a saver", saver, ErrorKind::Undecodable)?;
    let stored = state_at::<Vec<u64>, _>(&*ctx.b, &run, None, Compact).await;
    fails("a read by the compact codec", stored, ErrorKind::Undecodable)?;
    still_there(ctx, &run, cursor(ctx, 2)).await
}

async fn another_type_is_undecodable_and_harmless(ctx: &Context) -> Verdict {
    let run = ctx.run("json");
    json_run(ctx, &run).await?;
    let others = over(ctx, ctx.b.clone());
    let answer = others.begin_state_in(Json, begin(&run), String::new).await;
    fails("a resume of another type", answer, ErrorKind::Undecodable)?;
    let answer = others.begin_saver::<bool, _>(Json, begin(&run)).await;
    fails("a resume of another type", answer, ErrorKind::Undecodable)?;
    still_there(ctx, &run, cursor(ctx, 2)).await
}

async fn bytes_of_every_value_come_back(ctx: &Context) -> Verdict {
    let (run, dice) = (ctx.run("bytes"), Dice(ctx));
    let limits = ctx.capabilities.limits;
    let most = limits.record.min(limits.snapshot).min(limits.commit / 2).min(ctx.tuning().body).min(1 << 20);
    let large = usize::try_from(most / 2).unwrap_or(1 << 10);
    let bodies = [vec![0], (0..=255).collect(), dice.bytes(large), vec![], vec![7; large], dice.bytes(3)];
    for (round, body) in (1..).zip(bodies) {
        let body = Bytes::from(body);
        let mut driver = drive(ctx, &checkpoints(ctx), &run).await?;
        expect_eq("a save", driver.save(body.clone()).await?, persisted(ctx, round))?;
        driver.release(Wake::now()).await?;
        let mut driver = drive(ctx, &over(ctx, ctx.b.clone()), &run).await?;
        let found = restored(&mut *driver)?;
        expect("the state is what was saved", found.state == Some(body), found.cursor)?;
        driver.release(Wake::now()).await?;
    }
    Ok(())
}

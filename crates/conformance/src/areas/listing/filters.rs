//! Filters, each alone and all together.

use super::{listed, lists};
use crate::areas::prelude::*;

cases! { listing:
    /// A store without runs lists none, whatever is asked for.
    an_empty_store_lists_nothing [List],
    /// A name is compared byte for byte, the empty one too.
    by_name [List],
    /// Every label that is asked for must be there with its value, byte for byte.
    by_labels [List],
    /// A parent is compared byte for byte; it need not exist.
    by_parent [List],
    /// A prefix is compared byte for byte, and is no pattern.
    by_prefix_as_bytes [List],
    /// `idle_since` gives what was opened and committed to at that instant or before; renewals and messages are no
    /// work.
    by_age [List],
    /// Filters that are set together must all hold.
    filters_combine [List],
    /// A run that differs from what is asked for in one thing alone is not listed.
    one_difference_is_enough [List],
}

/// A run id of exactly these characters: the scope is the case's own.
fn named(id: &str) -> Verdict<RunId> {
    Ok(RunId::new(id)?)
}

/// Creates a run that is exactly this.
async fn create(ctx: &Context, id: &str, info: RunInfo) -> Verdict<Driver> {
    let open = Open { info: Some(info), ..ctx.creating() };
    Ok(Driver::of(&ctx.a.open(&named(id)?, open).await?))
}

async fn an_empty_store_lists_nothing(ctx: &Context) -> Verdict {
    for query in [
        Query::all(),
        Query::interrupted(),
        Query::expired(),
        Query { order: Order::NewestFirst, ..Query::all() },
        Query { name: Some(String::new()), id_prefix: Some(String::new()), ..Query::all() },
        Query { limit: Some(0), page: Some(0), ..Query::all() },
    ] {
        lists(ctx, &query, []).await?;
    }
    let run = named("gone")?;
    ctx.create(&run).await?;
    lists(ctx, &Query::all(), [&run]).await?;
    ctx.a.delete(&run, Delete::Any).await?;
    lists(ctx, &Query::all(), []).await
}

async fn by_name(ctx: &Context) -> Verdict {
    let names = ["import", "Import", "import ", "imports", "", "imp%", "_mport", "caf\u{e9}", "cafe\u{301}"];
    for (number, name) in names.iter().enumerate() {
        create(ctx, &format!("run {number}"), RunInfo::named(*name).label("name", "import")).await?;
    }
    for (number, name) in names.iter().enumerate() {
        let run = named(&format!("run {number}"))?;
        lists(ctx, &Query { name: Some((*name).into()), ..Query::all() }, [&run]).await?;
    }
    lists(ctx, &Query { name: Some("%".into()), ..Query::all() }, []).await
}

/// A label, by key and value.
type Label = (&'static str, &'static str);

async fn by_labels(ctx: &Context) -> Verdict {
    let labels: [(&str, &[Label]); 8] = [
        ("a", &[("tenant", "x"), ("region", "eu")]),
        ("b", &[("tenant", "x"), ("region", "us")]),
        ("c", &[("tenant", "y")]),
        ("d", &[("region", "x")]),
        ("e", &[]),
        ("f", &[("tenant", "")]),
        ("g", &[("Tenant", "x"), ("tenant.region", "eu")]),
        ("h", &[("tenant", "X"), ("", "x")]),
    ];
    for (id, labels) in labels {
        let info = labels.iter().fold(RunInfo::named("case"), |info, (key, value)| info.label(*key, *value));
        create(ctx, id, info).await?;
    }
    let asked: [(&[Label], &[&str]); 13] = [
        (&[], &["a", "b", "c", "d", "e", "f", "g", "h"]),
        (&[("tenant", "x")], &["a", "b"]),
        (&[("tenant", "x"), ("region", "eu")], &["a"]),
        (&[("region", "eu"), ("tenant", "x")], &["a"]),
        (&[("tenant", "x"), ("tenant", "x")], &["a", "b"]),
        (&[("tenant", "x"), ("tenant", "y")], &[]),
        (&[("tenant", "y"), ("region", "eu")], &[]),
        (&[("tenant", "")], &["f"]),
        (&[("region", "x")], &["d"]),
        (&[("", "x")], &["h"]),
        (&[("region", "")], &[]),
        (&[("tenant.region", "eu")], &["g"]),
        (&[("tenant", "%")], &[]),
    ];
    for (labels, want) in asked {
        let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let want = want.iter().map(|id| named(id)).collect::<Verdict<Vec<_>>>()?;
        lists(ctx, &Query { labels, ..Query::all() }, &want).await?;
    }
    Ok(())
}

async fn by_parent(ctx: &Context) -> Verdict {
    let parents = ["parent", "Parent", "parent0", "paren", "%"];
    for parent in parents {
        for child in ["1", "2"] {
            let info = RunInfo::named("case").parent(named(parent)?);
            create(ctx, &format!("{parent}/{child}"), info).await?;
        }
    }
    create(ctx, "parent", RunInfo::named("parent")).await?;
    for parent in parents {
        let children = [named(&format!("{parent}/1"))?, named(&format!("{parent}/2"))?];
        lists(ctx, &Query { parent: Some(named(parent)?), ..Query::all() }, &children).await?;
    }
    lists(ctx, &Query { parent: Some(named("parent/1")?), ..Query::all() }, []).await
}

async fn by_prefix_as_bytes(ctx: &Context) -> Verdict {
    let runs: Vec<_> = [
        "user",
        "user1",
        "user10",
        "user1/a",
        "user2",
        "User1",
        "user%",
        "user_",
        "user*",
        "\u{e9}t\u{e9}",
        "e\u{301}t\u{e9}",
        "\u{10ffff}",
        "\u{10ffff}\u{10ffff}",
        "\u{d7ff}x",
        "\u{e000}",
        "u",
    ]
    .into_iter()
    .map(named)
    .collect::<Verdict<_>>()?;
    for run in &runs {
        ctx.create(run).await?;
    }
    let prefixes = [
        "",
        "u",
        "user",
        "user1",
        "user1/",
        "user10",
        "user100",
        "USER",
        "User",
        "user%",
        "user_",
        "user*",
        "%",
        "_",
        "*",
        "\u{e9}",
        "e",
        "e\u{301}",
        "\u{10ffff}",
        "\u{d7ff}",
        "\u{e000}",
        "user1\u{10ffff}",
    ];
    for prefix in prefixes {
        let want = runs.iter().filter(|run| run.as_str().as_bytes().starts_with(prefix.as_bytes()));
        for order in [Order::Id, Order::NewestFirst] {
            let query = Query { id_prefix: Some(prefix.into()), order, page: Some(2), ..Query::all() };
            lists(ctx, &query, want.clone()).await?;
        }
    }
    Ok(())
}

async fn by_age(ctx: &Context) -> Verdict {
    let step = Duration::from_millis(2);
    let mut drivers = Vec::new();
    for label in ["opened", "committed", "renewed", "sent", "finished"] {
        drivers.push(ctx.create(&ctx.run(label)).await?);
        ctx.pass(step).await;
    }
    let [_, committed, renewed, sent, finished] = drivers.as_mut_slice() else {
        unreachable!("five runs were created");
    };
    ctx.commit(committed, |commit| commit.note(Note::default())).await?;
    ctx.pass(step).await;
    ctx.complete(finished).await?;
    ctx.pass(step).await;
    let before = ctx.head(&renewed.run).await?.updated_at;
    ctx.a.renew(&renewed.run, Renew::new(renewed.fence, ctx.long() * 2)).await?;
    expect_eq("the age of a renewed run", ctx.head(&renewed.run).await?.updated_at, before)?;
    if ctx.capabilities.supports_inbox() {
        let before = ctx.head(&sent.run).await?.updated_at;
        ctx.a.send(&sent.run, ctx.message("1", "")).await?;
        expect_eq("the age of a run with a message", ctx.head(&sent.run).await?.updated_at, before)?;
    }
    let heads = listed(ctx, &Query::all()).await?;
    expect_eq("how many are listed", heads.len(), 5)?;
    let ages: Vec<_> = heads.iter().map(|head| (head.updated_at, &head.run)).collect();
    let micro = Duration::from_micros(1);
    for since in ages.iter().flat_map(|(at, _)| [*at - micro, *at, *at + micro]) {
        let want = ages.iter().filter(|(at, _)| *at <= since).map(|(_, run)| *run);
        lists(ctx, &Query { idle_since: Some(since), ..Query::all() }, want).await?;
    }
    Ok(())
}

/// Runs of every status, under two names, with and without labels and parents; and the instant between the older and
/// the younger half.
async fn population(ctx: &Context) -> Verdict<Timestamp> {
    let mut between = Timestamp::default();
    for number in 0..32 {
        if number == 16 {
            ctx.pass(Duration::from_millis(2)).await;
            between = ctx.head(&named("a0")?).await?.at;
            ctx.pass(Duration::from_millis(2)).await;
        }
        let mut info = RunInfo::named(["import", "crawl"][number % 2]);
        if number % 3 == 0 {
            info = info.parent(named("parent")?);
        }
        if number % 4 < 2 {
            info = info.label("tenant", "x").label("shard", (number % 5).to_string());
        }
        let mut driver = create(ctx, &format!("{}{number}", ["a", "b"][number / 2 % 2]), info).await?;
        let outcome = match number % 7 {
            0 | 6 => Outcome::Failed { failure: milepost_core::Failure::new(FailureKind::TimedOut, "late") },
            1 => Outcome::Failed { failure: milepost_core::Failure::new(FailureKind::Error, "no") },
            2 => Outcome::Completed { output: Bytes::new() },
            3 | 4 => {
                ctx.commit(&mut driver, |commit| commit.release(Wake::now())).await?;
                continue;
            }
            _ => continue,
        };
        let retain = if number % 2 == 0 { Retain::Delete } else { Retain::Keep };
        ctx.commit(&mut driver, |commit| commit.finish(outcome, retain)).await?;
    }
    Ok(between)
}

/// A filter: what it sets in a query.
type Set = fn(&mut Query, Timestamp);

/// Every filter there is, some with two values.
const FILTERS: [Set; 12] = [
    |query, _| query.status = Some(Status::Failed),
    |query, _| query.status = Some(Status::Interrupted),
    |query, _| query.status = Some(Status::Running),
    |query, at| query.due_by = Some(at + Open::DEFAULT_TTL / 2),
    |query, _| query.name = Some("import".into()),
    |query, _| query.labels.push(("tenant".into(), "x".into())),
    |query, _| query.labels.push(("shard".into(), "1".into())),
    |query, _| query.parent = RunId::new("parent").ok(),
    |query, _| query.id_prefix = Some("a".into()),
    |query, _| query.failure = Some(FailureKind::TimedOut),
    |query, at| query.idle_since = Some(at),
    |query, _| query.expired = true,
];

async fn filters_combine(ctx: &Context) -> Verdict {
    let between = population(ctx).await?;
    let heads = listed(ctx, &Query::all()).await?;
    expect_eq("how many runs there are", heads.len(), 32)?;
    let mut some = 0;
    for (first, one) in FILTERS.iter().enumerate() {
        for (second, two) in FILTERS.iter().enumerate().skip(first) {
            for three in &FILTERS[second..] {
                let mut query = Query { page: Some(5), ..Query::all() };
                [one, two, three].into_iter().for_each(|set| set(&mut query, between));
                let want = heads.iter().filter(|head| query.matches(head)).map(|head| &head.run);
                some += usize::from(want.clone().next().is_some());
                lists(ctx, &query, want).await?;
            }
        }
    }
    expect("many combinations give something", some > 100, some)
}

async fn one_difference_is_enough(ctx: &Context) -> Verdict {
    let run = named("orders/7")?;
    let info = RunInfo::named("import").label("tenant", "x").label("region", "eu").parent(named("orders")?);
    let outcome = Outcome::Failed { failure: milepost_core::Failure::new(FailureKind::Poison, "again") };
    let mut driver = create(ctx, run.as_str(), info).await?;
    ctx.commit(&mut driver, |commit| commit.finish(outcome, Retain::Delete)).await?;
    let head = ctx.head(&run).await?;
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let exact = Query {
        status: Some(Status::Failed),
        name: Some("import".into()),
        labels: vec![label("tenant", "x"), label("region", "eu")],
        parent: head.info.parent.clone(),
        id_prefix: Some("orders/".into()),
        failure: Some(FailureKind::Poison),
        idle_since: Some(head.updated_at),
        expired: true,
        ..Query::all()
    };
    lists(ctx, &exact, [&run]).await?;
    let asked = || exact.clone();
    for other in [
        Query { status: Some(Status::Completed), ..asked() },
        Query { due_by: Some(Timestamp(i64::MAX)), ..asked() },
        Query { name: Some("imports".into()), ..asked() },
        Query { labels: vec![label("tenant", "x"), label("region", "us")], ..asked() },
        Query { labels: vec![label("tenant", "eu")], ..asked() },
        Query { parent: Some(run.clone()), ..asked() },
        Query { id_prefix: Some("orders/8".into()), ..asked() },
        Query { failure: Some(FailureKind::Error), ..asked() },
        Query { idle_since: Some(head.updated_at - Duration::from_micros(1)), ..asked() },
    ] {
        lists(ctx, &other, []).await?;
    }
    Ok(())
}

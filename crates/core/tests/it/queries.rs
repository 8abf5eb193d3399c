//! Which runs a query means, and what a span asks for.

use milepost_core::{
    Bytes, Failure, FailureKind, Head, Incarnation, Order, Outcome, Query, RunId, RunInfo, Span, Status,
    Timestamp,
};

use crate::heads::{NOW, head};

fn completed() -> Option<Outcome> {
    Some(Outcome::Completed { output: Bytes::new() })
}

fn failed(kind: FailureKind) -> Option<Outcome> {
    Some(Outcome::Failed { failure: Failure::new(kind, "") })
}

fn waiting() -> Head {
    let info = RunInfo::named("import")
        .label("team", "data")
        .label("env", "eu")
        .parent(RunId::from_static("parent"));
    Head { run: RunId::from_static("user10"), info, due: Some(Timestamp(2_000)), ..head() }
}

fn finished() -> Head {
    Head { outcome: failed(FailureKind::Poison), delete_after: Some(NOW), due: None, ..waiting() }
}

/// A query with one condition, a run that meets it, and one that does not, though it comes close.
fn conditions() -> Vec<(Query, Head, Head)> {
    let any = Query::all;
    let label = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    let named = |name: &str| Head { info: RunInfo::named(name), ..waiting() };
    let run = |run: &'static str| Head { run: RunId::from_static(run), ..waiting() };
    let touched = |at| Head { updated_at: Timestamp(at), ..waiting() };
    let due = |at| Head { due: Some(Timestamp(at)), ..waiting() };
    let deletable = |at| Head { delete_after: Some(Timestamp(at)), ..finished() };
    vec![
        (Query { status: Some(Status::Waiting), ..any() }, waiting(), finished()),
        (Query::interrupted(), due(1_000), due(1_001)),
        (Query { due_by: Some(Timestamp(1_500)), ..any() }, due(1_500), due(1_501)),
        (
            Query { due_by: Some(Timestamp(1_500)), ..any() },
            due(1_500),
            Head { outcome: completed(), ..due(1_500) },
        ),
        (Query { due_by: Some(NOW), ..any() }, due(1_000), Head { due: None, ..waiting() }),
        (Query { name: Some("import".into()), ..any() }, waiting(), named("imports")),
        (Query { labels: label("team", "data"), ..any() }, waiting(), named("import")),
        (Query { labels: label("team", "data"), ..any() }, waiting(), {
            Head { info: RunInfo::named("import").label("team", "eu"), ..waiting() }
        }),
        (Query { parent: Some(RunId::from_static("parent")), ..any() }, waiting(), named("import")),
        (Query { id_prefix: Some("user1".into()), ..any() }, waiting(), run("user2")),
        (Query { id_prefix: Some("user10".into()), ..any() }, waiting(), run("user1")),
        (Query { failure: Some(FailureKind::Poison), ..any() }, finished(), waiting()),
        (Query { failure: Some(FailureKind::Poison), ..any() }, finished(), {
            Head { outcome: failed(FailureKind::Error), ..finished() }
        }),
        (Query { idle_since: Some(NOW), ..any() }, touched(1_000), touched(1_001)),
        (Query::expired(), deletable(1_000), deletable(1_001)),
        (Query::expired(), finished(), Head { outcome: None, ..finished() }),
        (Query::expired(), finished(), Head { delete_after: None, ..finished() }),
    ]
}

#[test]
fn each_condition_lets_pass_what_it_means_and_nothing_else() {
    for (query, meant, other) in conditions() {
        assert!(query.matches(&meant), "{query:?}\n{meant:?}");
        assert!(!query.matches(&other), "{query:?}\n{other:?}");
        assert!(Query::all().matches(&meant) && Query::all().matches(&other));
    }
}

/// Everything that one run meets, and then one more condition, of each sort, that it does not.
#[test]
fn all_conditions_must_hold() {
    let all = Query {
        status: Some(Status::Failed),
        name: Some("import".into()),
        labels: vec![("team".into(), "data".into()), ("env".into(), "eu".into())],
        parent: Some(RunId::from_static("parent")),
        id_prefix: Some("user".into()),
        failure: Some(FailureKind::Poison),
        idle_since: Some(NOW),
        expired: true,
        ..Query::all()
    };
    assert!(all.matches(&finished()));
    let mut second = all.clone();
    second.labels[1].1 = "us".into();
    for but in [
        Query { status: Some(Status::Running), ..all.clone() },
        Query { due_by: Some(NOW), ..all.clone() },
        Query { name: Some("export".into()), ..all.clone() },
        second,
        Query { parent: Some(RunId::from_static("other")), ..all.clone() },
        Query { id_prefix: Some("ser".into()), ..all.clone() },
        Query { failure: Some(FailureKind::Error), ..all.clone() },
        Query { idle_since: Some(Timestamp(-1)), ..all.clone() },
    ] {
        assert!(!but.matches(&finished()), "{but:?}");
    }
    let not_yet = Head { delete_after: None, ..finished() };
    assert!(!all.matches(&not_yet));
}

#[test]
fn a_query_that_asks_for_nothing_means_every_run_by_id() {
    assert_eq!((Query::all().order, Query::all().limit), (Order::Id, None));
}

#[test]
fn a_span_is_built_part_by_part() {
    let span = Span::after(1).until(9).limit(4).page(2).incarnation(Incarnation(7));
    assert_eq!((span.after, span.until, span.limit, span.page), (1, Some(9), Some(4), Some(2)));
    assert_eq!((span.incarnation, span.reverse, span.follow), (Some(Incarnation(7)), false, false));
    let reversed = Span::after(1).reverse();
    assert_eq!((reversed.after, reversed.reverse), (1, true));
    assert!(Span::all().follow().follow);
}

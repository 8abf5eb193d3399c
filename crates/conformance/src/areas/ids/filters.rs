//! Odd texts as filters of a listing.

use std::collections::BTreeSet;

use super::{ALIKE, ODD};
use crate::areas::{listing::lists, prelude::*};

cases! { ids:
    /// A name with quotes, percent signs or JSON path syntax finds the run of that name, and no other.
    odd_names_find_their_run [List],
    /// A label whose key or value is odd finds its runs, and no other.
    odd_labels_find_their_run [List],
    /// A parent with an odd id finds its children, and no others.
    odd_parents_find_their_children [List],
    /// An odd text that no run has finds nothing.
    odd_filters_that_match_nothing [List],
}

/// Every odd text, the empty one, and one with a NUL. Re-opened, a third of them: a handle keeps nothing of a filter.
fn texts(ctx: &Context) -> Vec<&'static str> {
    let more = ["", "\0", "a\0b", "a\0"];
    let texts: BTreeSet<_> = ODD.iter().chain(ALIKE.iter().copied().flatten()).copied().chain(more).collect();
    texts.into_iter().step_by(if ctx.is_reopened() { 3 } else { 1 }).collect()
}

/// Creates the run of a number that is this.
async fn create(ctx: &Context, number: usize, info: RunInfo) -> Verdict<RunId> {
    let run = ctx.run(&number.to_string());
    ctx.a.open(&run, Open { info: Some(info), ..ctx.creating() }).await?;
    Ok(run)
}

async fn odd_names_find_their_run(ctx: &Context) -> Verdict {
    let mut runs = Vec::new();
    for (number, name) in texts(ctx).into_iter().enumerate() {
        runs.push((name, create(ctx, number, RunInfo::named(name)).await?));
    }
    for (name, run) in &runs {
        lists(ctx, &Query { name: Some((*name).into()), ..Query::all() }, [run]).await?;
    }
    Ok(())
}

async fn odd_labels_find_their_run(ctx: &Context) -> Verdict {
    let texts = texts(ctx);
    let mut runs = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        // Each text is the key of one run, the value of it, and the value of the next one's plain label.
        let before = texts[(number + texts.len() - 1) % texts.len()];
        let info = RunInfo::named("case").label(*text, *text).label("plain key", before);
        runs.push(create(ctx, number, info).await?);
    }
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    for (number, text) in texts.iter().enumerate() {
        let (run, next) = (&runs[number], &runs[(number + 1) % runs.len()]);
        let before = texts[(number + texts.len() - 1) % texts.len()];
        for (labels, want) in [
            (vec![label(text, text)], vec![run]),
            (vec![label("plain key", text)], vec![next]),
            (vec![label("plain key", before), label(text, text)], vec![run]),
            (vec![label("plain key", text), label(text, text)], vec![]),
            (vec![label(text, before)], vec![]),
        ] {
            lists(ctx, &Query { labels, ..Query::all() }, want).await?;
        }
    }
    Ok(())
}

async fn odd_parents_find_their_children(ctx: &Context) -> Verdict {
    let mut runs = Vec::new();
    for (number, text) in texts(ctx).into_iter().enumerate() {
        if let Ok(parent) = RunId::new(text) {
            let info = RunInfo::named("case").parent(parent.clone());
            runs.push((parent, create(ctx, number, info).await?));
        }
    }
    for (parent, run) in &runs {
        lists(ctx, &Query { parent: Some(parent.clone()), ..Query::all() }, [run]).await?;
    }
    Ok(())
}

async fn odd_filters_that_match_nothing(ctx: &Context) -> Verdict {
    let info = RunInfo::named("case").label("key", "value").parent(RunId::new("parent")?);
    let run = create(ctx, 0, info).await?;
    for text in texts(ctx) {
        let label = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        let text = || text.to_owned();
        for query in [
            Query { name: Some(text()), ..Query::all() },
            Query { labels: label(&text(), "value"), ..Query::all() },
            Query { labels: label("key", &text()), ..Query::all() },
            Query { labels: label(&format!("key{}x", text()), "value"), ..Query::all() },
            Query {
                parent: RunId::new(format!("{}x", text())).or_else(|_| RunId::new("x")).ok(),
                ..Query::all()
            },
            Query { name: Some("case".into()), id_prefix: Some(format!("{}!", text())), ..Query::all() },
        ] {
            lists(ctx, &query, []).await?;
        }
    }
    let found = Query { labels: vec![("key".into(), "value".into())], ..Query::all() };
    lists(ctx, &found, [&run]).await
}

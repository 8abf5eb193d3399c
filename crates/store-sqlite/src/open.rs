//! The verdict on an open, and what it writes.

use milepost_core::{
    Error, ErrorKind, Fence, Lease, Mode, Open, Opened, Outcome, Refusal, Result, RunId, Sizes, Takeover,
};

use crate::{
    image::{Image, Info, head},
    job::{Answer, Context, Decided, Verdict},
    plan::{Step, Write},
    recent::Left,
    row::{Counts, LastOpen, Row},
};

/// Judges an open in the documented order of verdicts. `key` is the one that a created run gets.
pub(crate) fn judge(
    run: &RunId,
    open: &Open,
    image: Option<Image>,
    key: i64,
    context: &Context<'_>,
) -> Verdict {
    let Some(image) = image else { return create(run, open, key, context) };
    let info = image.info()?;
    let row = image.row;
    if row.last_open.id == open.id && row.last_open.version == row.version {
        let created = row.last_open.created;
        return Ok(Decided::unchanged(opened(row, info, created, context)));
    }
    may_open(&row, &info, open, context)?;
    let decide = if row.outcome.is_some() { Decided::changed_outcome } else { Decided::changed };
    let row = taken_over(row, open, context);
    Ok(decide(opened(row.clone(), info, false, context), row, Vec::new()))
}

fn opened(row: Row, info: Info, created: bool, context: &Context<'_>) -> Answer {
    let fence = row.fence;
    Answer::Opened(Box::new(Opened { fence, head: head(row, info, context.now, context.here), created }))
}

fn lease(open: &Open, context: &Context<'_>) -> Lease {
    Lease { owner: open.owner.clone(), until: context.lease_end(open.ttl) }
}

/// Whether a run that exists may be opened.
fn may_open(row: &Row, info: &Info, open: &Open, context: &Context<'_>) -> Result<()> {
    if open.mode == Mode::Create {
        return Err(Refusal::AlreadyExists.into());
    }
    if let Some(given) = open.manifest.filter(|given| *given != info.manifest) {
        return Err(Refusal::ManifestMismatch { stored: info.manifest, given }.into());
    }
    match &row.outcome {
        Some(Outcome::Failed { .. }) if open.reopen_failed => return Ok(()),
        Some(outcome) => return Err(Refusal::Finished { outcome: outcome.clone() }.into()),
        None => {}
    }
    let due = context.here.due(row, context.now);
    if open.takeover == Takeover::Over(row.fence) || due.is_some_and(|due| due <= context.now) {
        return Ok(());
    }
    let owner = row.lease.as_ref().map(|lease| lease.owner.clone());
    Err(Refusal::LeaseHeld { owner, expires_in: due.map(|due| due.since(context.now)) }.into())
}

/// The run under its next fence.
fn taken_over(mut row: Row, open: &Open, context: &Context<'_>) -> Row {
    if row.outcome.take().is_some() {
        row.delete_after = None;
        row.lapses = 0;
    } else if row.lease.is_some() {
        row.lapses = row.lapses.saturating_add(1);
    }
    let lease = lease(open, context);
    row.fence = Fence { epoch: row.fence.epoch + 1, token: context.ids.token(), ..row.fence };
    row.version += 1;
    row.updated = context.now;
    row.due = (!row.draft).then_some(lease.until);
    row.lease = Some(lease);
    row.holder = context.here.text.clone();
    row.wake_after = None;
    row.last_open = LastOpen { id: open.id, version: row.version, created: false };
    row
}

/// A run as its first open leaves it.
fn create(run: &RunId, open: &Open, key: i64, context: &Context<'_>) -> Verdict {
    let (Some(info), Some(manifest), false) = (&open.info, open.manifest, open.mode == Mode::Resume) else {
        return Err(Refusal::NotFound.into());
    };
    let start = open.origin.as_ref().map_or(0, |origin| origin.cursor);
    if start >= i64::MAX as u64 {
        return Err(Error::new(ErrorKind::TooLarge, "this store counts records up to 2^63"));
    }
    let lease = lease(open, context);
    let draft = open.origin.is_some();
    let row = Row {
        key,
        id: run.clone(),
        origin: draft.then_some(start),
        fence: Fence { incarnation: context.ids.incarnation(), epoch: 1, token: context.ids.token() },
        version: 1,
        cursor: start,
        first: start + 1,
        draft,
        newest: None,
        second: None,
        due: (!draft).then_some(lease.until),
        lease: Some(lease),
        holder: context.here.text.clone(),
        wake_after: None,
        lapses: 0,
        newest_message: 0,
        note: None,
        updated: context.now,
        sizes: Sizes::default(),
        counts: Counts::default(),
        last_open: LastOpen { id: open.id, version: 1, created: true },
        last_commit: None,
        outcome: None,
        delete_after: None,
    };
    let lineage = open.origin.as_ref().and_then(|origin| origin.lineage.clone());
    let info = Info { run: run.clone(), created: context.now, info: info.clone(), manifest, lineage };
    let (values, checksum) = row.stored();
    let writes = vec![Write::new(Step::InsertRun, values), Write::new(Step::InsertInfo, info.stored(key)?)];
    let answer = opened(row.clone(), info, true, context);
    Ok(Decided { answer, writes, left: Some(Left { row, checksum }) })
}

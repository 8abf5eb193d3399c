//! The verdict on a commit, and what it writes.

use std::collections::HashMap;

use milepost_core::{
    Blob, Checksum, Clash, Commit, Committed, Cursor, Digest, LeaseChange, Record, Refusal, Result, Snapshot,
    Wake,
};

use crate::{
    error::corrupt,
    image::Image,
    job::{Answer, Context, Decided, Verdict, check_fence},
    needs::{Needs, Parts, id_checksum},
    plan::{Step, Write},
    row::{LastCommit, Row},
    sql::Value,
};

/// What the verdict on a commit rests on besides the run's row.
pub(crate) fn needs(commit: &Commit, needs: &mut Needs) {
    let run = &commit.run;
    let ids = commit.records.iter().filter_map(|record| record.id.as_ref());
    needs.ids.extend(ids.map(|id| (run.clone(), id.clone())));
    let named = commit.records.iter().flat_map(|record| &record.blobs);
    let carried = commit.blobs.iter().map(|blob| &blob.name);
    let blobs = named.chain(carried).chain(&commit.drop_blobs);
    needs.blobs.extend(blobs.map(|name| (run.clone(), *name)));
    needs.messages.extend(commit.take.iter().map(|number| (run.clone(), *number)));
    needs.snapshots.extend(commit.snapshot.iter().map(|snapshot| (run.clone(), snapshot.cursor)));
    needs.trims.extend(commit.trim.map(|through| (run.clone(), through)));
}

/// Whether it is `row` alone that the verdict rests on: nothing was asked for by [`needs`] but the snapshot that a new
/// one replaces, and there is none.
pub(crate) fn needs_only(commit: &Commit, row: &Row) -> bool {
    let plain = commit.records.iter().all(|record| record.id.is_none() && record.blobs.is_empty());
    let newest =
        commit.snapshot.as_ref().is_none_or(|own| row.newest.is_none_or(|newest| own.cursor > newest));
    let nothing = commit.blobs.is_empty() && commit.drop_blobs.is_empty() && commit.take.is_empty();
    plain && newest && nothing && commit.trim.is_none()
}

/// Judges a commit in the documented order of verdicts.
pub(crate) fn judge(
    commit: &Commit,
    digest: Digest,
    image: Option<Image>,
    parts: &Parts,
    context: &Context<'_>,
) -> Verdict {
    let image = image.filter(|image| image.row.fence.incarnation == commit.fence.incarnation);
    let image = image.ok_or(Refusal::NotFound)?;
    if let Some(last) = image.row.last_commit.filter(|last| last.id == commit.id) {
        if last.digest != digest {
            return Err(Refusal::IdReused.into());
        }
        if last.fence == commit.fence {
            let committed = Committed { version: last.version, cursor: last.cursor, replayed: true };
            return Ok(Decided::unchanged(Answer::Committed(committed)));
        }
    }
    check_fence(&image, commit.fence)?;
    if let Some(clash) = clash(&image.row, commit, parts) {
        return Err(context.conflict(&image, clash)?.into());
    }
    if let Some(cursor) = duplicate(&image.row, commit, parts) {
        return Err(Refusal::Duplicate { cursor }.into());
    }
    let mut next = Next { row: image.row, writes: Vec::new() };
    next.write(commit, parts, context)?;
    let row = &mut next.row;
    let last =
        LastCommit { id: commit.id, digest, fence: commit.fence, version: row.version, cursor: row.cursor };
    row.last_commit = Some(last);
    let committed = Committed { version: row.version, cursor: row.cursor, replayed: false };
    let decide = if commit.finish.is_none() { Decided::changed } else { Decided::changed_outcome };
    Ok(decide(Answer::Committed(committed), next.row, next.writes))
}

/// In what the run is not as the commit assumes, if in anything.
fn clash(row: &Row, commit: &Commit, parts: &Parts) -> Option<Clash> {
    if commit.expect != row.version {
        return Some(Clash::Version);
    }
    if let Some(number) = commit.take.iter().find(|number| !parts.messages.contains_key(number)) {
        return Some(Clash::NotWaiting(*number));
    }
    let carried = |name: &Digest| commit.blobs.iter().any(|blob| blob.name == *name);
    let stored = |name: &Digest| parts.blobs.contains_key(name) && !commit.drop_blobs.contains(name);
    let mut named = commit.records.iter().flat_map(|record| &record.blobs);
    if let Some(name) = named.find(|name| !carried(name) && !stored(name)) {
        return Some(Clash::MissingBlob(*name));
    }
    let end = row.cursor + commit.records.len() as u64;
    if let Some(snapshot) = commit.snapshot.as_ref().filter(|snapshot| snapshot.cursor > end) {
        return Some(Clash::SnapshotCursor(snapshot.cursor));
    }
    let limit = newest_two(row, kept(row, commit)).1.unwrap_or(0);
    commit.trim.filter(|through| *through > limit).map(|_| Clash::Trim(limit))
}

/// The snapshot that the commit adds, unless its tail was trimmed, so that it would shorten no resume.
fn kept<'a>(row: &Row, commit: &'a Commit) -> Option<&'a Snapshot> {
    commit.snapshot.as_ref().filter(|snapshot| snapshot.cursor + 1 >= row.first)
}

/// The newest two snapshots once `added` is kept too.
fn newest_two(row: &Row, added: Option<&Snapshot>) -> (Option<Cursor>, Option<Cursor>) {
    let mut cursors: Vec<Cursor> =
        row.snapshots().into_iter().chain(added.map(|snapshot| snapshot.cursor)).collect();
    cursors.sort_unstable_by(|a, b| b.cmp(a));
    cursors.dedup();
    (cursors.first().copied(), cursors.get(1).copied())
}

/// Where the first record stands whose id the commit repeats.
fn duplicate(row: &Row, commit: &Commit, parts: &Parts) -> Option<Cursor> {
    let ids = || {
        let records = commit.records.iter().zip(row.cursor + 1..);
        records.filter_map(|(record, cursor)| Some((record.id.as_ref()?.as_str(), cursor)))
    };
    if let Some(cursor) = ids().find_map(|(id, _)| parts.ids.get(id)) {
        return Some(*cursor);
    }
    let mut seen = HashMap::new();
    ids().find_map(|(id, cursor)| seen.insert(id, cursor))
}

/// The run as a commit that holds leaves it.
struct Next {
    row: Row,
    writes: Vec<Write>,
}

/// Subtracts what is removed from what is kept. The row and its parts were read in one transaction, so less than
/// nothing means that they are not what was written.
pub(crate) fn less(kept: &mut u64, removed: u64) -> Result<()> {
    *kept = kept.checked_sub(removed).ok_or_else(|| corrupt("a run keeps less than its parts add up to"))?;
    Ok(())
}

impl Next {
    fn push(&mut self, step: Step, values: impl Into<Vec<Value>>) {
        self.writes.push(Write::new(step, values));
    }

    fn write(&mut self, commit: &Commit, parts: &Parts, context: &Context<'_>) -> Result<()> {
        self.row.version += 1;
        self.row.updated = context.now;
        self.append(commit, context);
        self.change_blobs(commit, parts)?;
        for number in &commit.take {
            let counts = &mut self.row.counts;
            less(&mut counts.messages, 1)?;
            counts.message_numbers = counts.message_numbers.wrapping_sub(*number);
            less(&mut self.row.sizes.messages, parts.messages.get(number).copied().unwrap_or(0))?;
            self.push(Step::TakeMessage, [Value::Int(self.row.key), Value::unsigned(*number)]);
        }
        let added = kept(&self.row, commit);
        if let Some(snapshot) = added {
            self.put_snapshot(snapshot, commit.trim, parts)?;
        }
        if let Some(through) = commit.trim {
            self.trim(through, parts)?;
        }
        self.change_state(commit, context);
        Ok(())
    }

    fn append(&mut self, commit: &Commit, context: &Context<'_>) {
        let (key, run, incarnation) = (self.row.key, &commit.run, commit.fence.incarnation);
        for new in &commit.records {
            self.row.cursor += 1;
            self.row.sizes.records += new.body.len() as u64;
            let record: Record = new.clone().at(self.row.cursor, context.now);
            let checksum = record.checksum(run, incarnation);
            if let Some(id) = &record.id {
                let own = id_checksum(key, id.as_str(), record.cursor);
                let values = [
                    Value::Int(key),
                    Value::text(id.as_str()),
                    Value::unsigned(record.cursor),
                    Value::blob(&own.0),
                ];
                self.writes.push(Write::new(Step::InsertRecordId, values));
            }
            let blobs: Vec<u8> = record.blobs.iter().flat_map(|name| name.0).collect();
            let values = [
                Value::Int(key),
                Value::unsigned(record.cursor),
                Value::Int(record.at.0),
                Value::text(record.kind.as_str()),
                Value::option(record.id.as_ref(), |id| Value::text(id.as_str())),
                if blobs.is_empty() { Value::Null } else { Value::Blob(blobs.into()) },
                Value::blob(&checksum.0),
                Value::Blob(record.body),
            ];
            self.writes.push(Write::new(Step::InsertRecord, values));
        }
    }

    fn change_blobs(&mut self, commit: &Commit, parts: &Parts) -> Result<()> {
        let key = self.row.key;
        for name in &commit.drop_blobs {
            if let Some(size) = parts.blobs.get(name) {
                less(&mut self.row.counts.blobs, 1)?;
                self.row.counts.toggle_blob(name);
                less(&mut self.row.sizes.blobs, *size)?;
                self.push(Step::DropBlob, [Value::Int(key), Value::blob(&name.0)]);
            }
        }
        for blob in commit.blobs.iter().filter(|blob| !parts.blobs.contains_key(&blob.name)) {
            let Blob { name, body } = blob;
            let checksum = blob.checksum(&commit.run, commit.fence.incarnation);
            self.row.counts.blobs += 1;
            self.row.counts.toggle_blob(name);
            self.row.sizes.blobs += body.len() as u64;
            let values =
                [Value::Int(key), Value::blob(&name.0), Value::blob(&checksum.0), Value::Blob(body.clone())];
            self.push(Step::InsertBlob, values);
        }
        Ok(())
    }

    fn put_snapshot(&mut self, snapshot: &Snapshot, trim: Option<Cursor>, parts: &Parts) -> Result<()> {
        let row = &mut self.row;
        if row.origin == Some(snapshot.cursor) {
            row.draft = false;
        }
        (row.newest, row.second) = newest_two(row, Some(snapshot));
        if trim.is_some_and(|through| snapshot.cursor < through) {
            // The same commit's trim removes it, and with it the one that it would have replaced.
            return Ok(());
        }
        match parts.snapshot {
            None => {
                row.counts.snapshots += 1;
                row.counts.snapshot_cursors = row.counts.snapshot_cursors.wrapping_add(snapshot.cursor);
            }
            Some(replaced) => less(&mut row.sizes.snapshots, replaced)?,
        }
        row.sizes.snapshots += snapshot.body.len() as u64;
        let checksum: Checksum = snapshot.checksum(&row.id, row.fence.incarnation);
        let values = [
            Value::Int(row.key),
            Value::unsigned(snapshot.cursor),
            Value::blob(&checksum.0),
            Value::Blob(snapshot.body.clone()),
        ];
        self.push(Step::PutSnapshot, values);
        Ok(())
    }

    fn trim(&mut self, through: Cursor, parts: &Parts) -> Result<()> {
        let removed = parts.trim.unwrap_or_default();
        let row = &mut self.row;
        row.first = row.first.max(through + 1);
        less(&mut row.sizes.records, removed.record_bytes)?;
        less(&mut row.sizes.snapshots, removed.snapshot_bytes)?;
        less(&mut row.counts.snapshots, removed.snapshots)?;
        row.counts.snapshot_cursors = row.counts.snapshot_cursors.wrapping_sub(removed.snapshot_cursors);
        let key = row.key;
        self.push(Step::TrimRecords, [Value::Int(key), Value::unsigned(through)]);
        self.push(Step::TrimSnapshots, [Value::Int(key), Value::unsigned(through)]);
        Ok(())
    }

    fn change_state(&mut self, commit: &Commit, context: &Context<'_>) {
        let row = &mut self.row;
        if let Some(note) = &commit.note {
            row.note = Some(note.clone());
        }
        if commit.advances {
            row.lapses = 0;
        }
        match commit.lease {
            LeaseChange::Keep => {}
            LeaseChange::Extend(ttl) => extend(row, context.lease_end(ttl)),
            LeaseChange::Release(wake) => release(row, wake, context),
        }
        if let Some(finish) = &commit.finish {
            row.delete_after = finish.retain.delete_after(context.now);
            row.outcome = Some(finish.outcome.clone());
            row.lease = None;
            row.holder = None;
        }
        if row.outcome.is_some() || row.draft {
            row.due = None;
        } else if let Some(lease) = &row.lease {
            row.due = Some(lease.until);
        }
    }
}

/// Extends the lease; never shortens it.
pub(crate) fn extend(row: &mut Row, until: milepost_core::Timestamp) {
    if let Some(lease) = &mut row.lease {
        lease.until = lease.until.max(until);
    }
}

fn release(row: &mut Row, wake: Wake, context: &Context<'_>) {
    row.lease = None;
    row.holder = None;
    row.due = if wake.after.is_some_and(|after| row.newest_message > after) {
        Some(context.now)
    } else {
        wake.at.map(|at| at.max(context.now))
    };
    row.wake_after = wake.after;
}

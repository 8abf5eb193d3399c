//! Opens, renewals, messages and deletions: one call of their function each, and what it says.

use bytes::Bytes;
use milepost_core::{
    Applied, Checksum, Delete, Incarnation, Message, Mode, NewMessage, Open, Opened, Refusal, Renew, Result,
    RunId, Sent, Takeover, Timestamp,
};

use crate::{
    answer::{self, Answer, nonsense},
    commit::{incarnation, span, token},
    link::Call,
    row::{Found, pack_labels, pack_lineage, pack_note, tag},
    store::Inner,
    value::{Value, position},
};
use std::sync::Arc;

/// One call of a writing function. What it refuses, damaged data too, it refuses before its first write.
async fn write(inner: &Inner, sql: &Arc<str>, values: &[Value]) -> Result<Answer> {
    let rows = inner.link.call(&Call { sql, values, writes: true, once: false }).await?;
    Answer::read(&rows).map_err(|error| error.with_applied(Applied::No))
}

fn open_values(inner: &Inner, run: &RunId, open: &Open) -> Vec<Value> {
    let mode = match open.mode {
        Mode::Create => 0,
        Mode::Resume => 1,
        Mode::CreateOrResume => 2,
    };
    let over = match open.takeover {
        Takeover::IfDue => None,
        Takeover::Over(fence) => {
            let parts = [
                &fence.incarnation.0.to_be_bytes()[..],
                &fence.epoch.to_be_bytes(),
                &fence.token.0.to_be_bytes(),
            ];
            Some(Bytes::from(parts.concat()))
        }
    };
    let (ids, info) = (&inner.config.ids, open.info.as_ref());
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let tags = info.map(|info| info.labels.iter().map(|(key, value)| Some(tag(key, value))).collect());
    let lineage = open.origin.as_ref().and_then(|origin| origin.lineage.as_ref());
    vec![
        Value::text(run.as_str()),
        Value::bytes(&open.id.0.to_be_bytes()),
        Value::int(mode),
        Value::Bytes(Some(incarnation(ids.incarnation()))),
        Value::Bytes(Some(token(ids.token()))),
        Value::int(span(open.ttl.max(inner.capabilities.limits.min_ttl))),
        Value::Bytes(over),
        Value::flag(open.reopen_failed),
        Value::Bytes(open.manifest.map(|manifest| Bytes::copy_from_slice(&manifest.0.0))),
        Value::Int(open.origin.as_ref().map(|origin| position(origin.cursor))),
        Value::text(open.owner.as_str()),
        Value::Bytes(info.map(|info| text(&info.name))),
        Value::Bytes(info.and_then(|info| info.parent.as_ref()).map(|parent| text(parent.as_str()))),
        Value::Bytes(info.map(|info| pack_labels(&info.labels))),
        Value::Many(tags.unwrap_or_default()),
        Value::Bytes(lineage.map(pack_lineage)),
        Value::Bytes(info.map(|info| info.meta.clone())),
    ]
}

pub(crate) async fn open(inner: &Inner, run: &RunId, open: &Open) -> Result<Opened> {
    let floor = inner.seen.floor(run);
    let answer = write(inner, &inner.statements.open, &open_values(inner, run, open)).await?;
    let (code, kind) = (answer.code, answer.a);
    if code == answer::MANIFEST {
        let (stored, given) = (answer.found(run)?.head.manifest, open.manifest.ok_or_else(nonsense)?);
        return Err(Refusal::ManifestMismatch { stored, given }.into());
    }
    if code != answer::OK {
        let row = answer.row(run)?.ok_or_else(nonsense)?;
        inner.seen.check(run, floor, row.stand(), false).map_err(|lost| lost.with_applied(Applied::Maybe))?;
        return Err(answer.refusal(run)?);
    }
    // 0 and 1: opened now, and created by that; 2 and 3: the answer of then, once more.
    let (again, created) = (kind >= 2, kind & 1 == 1);
    let Found { row, head } = answer.found(run)?;
    if let Err(lost) = inner.seen.check(run, floor, row.stand(), !again) {
        // The run is open now, as it is: who was told may open it again and go on from there.
        inner.seen.settle(run, row.stand());
        return Err(lost.with_applied(Applied::Maybe));
    }
    inner.followers.notify(run);
    Ok(Opened { fence: head.fence, head, created })
}

pub(crate) async fn renew(inner: &Inner, run: &RunId, renew: &Renew) -> Result<()> {
    let floor = inner.seen.floor(run);
    let values = [
        Value::text(run.as_str()),
        Value::Bytes(Some(incarnation(renew.fence.incarnation))),
        Value::position(renew.fence.epoch),
        Value::Bytes(Some(token(renew.fence.token))),
        Value::int(span(renew.ttl.max(inner.capabilities.limits.min_ttl))),
        Value::Bytes(renew.note.as_ref().map(pack_note)),
    ];
    let answer = write(inner, &inner.statements.renew, &values).await?;
    let row = answer.row(run)?.ok_or_else(nonsense)?;
    inner.seen.check(run, floor, row.stand(), false).map_err(|lost| lost.with_applied(Applied::Maybe))?;
    if answer.code == answer::OK { Ok(()) } else { Err(answer.refusal(run)?) }
}

pub(crate) async fn send(inner: &Inner, run: &RunId, message: &NewMessage) -> Result<Sent> {
    let floor = inner.seen.floor(run);
    let (key, kind) = (message.key.as_str(), message.kind.as_str());
    let content = Checksum::of_parts("postgres message", &[kind.as_bytes(), &message.body]);
    let values = [
        Value::text(run.as_str()),
        Value::Bytes(message.incarnation.map(incarnation)),
        Value::bytes(&message.id.0.to_be_bytes()),
        Value::text(key),
        Value::text(kind),
        Value::bytes(&content.0),
        Value::bytes(&content_of(run, message).0),
        Value::Bytes(Some(message.body.clone())),
    ];
    let answer = write(inner, &inner.statements.send, &values).await?;
    let row = answer.row(run)?.ok_or_else(nonsense)?;
    inner.seen.check(run, floor, row.stand(), false).map_err(|lost| lost.with_applied(Applied::Maybe))?;
    match answer.code {
        answer::OK => {
            inner.followers.notify(run);
            Ok(Sent::Accepted { number: answer.number()? })
        }
        answer::REPLAYED => Ok(Sent::Repeated { number: answer.number()? }),
        answer::CONFLICTING => Ok(Sent::Conflicting { number: answer.number()? }),
        _ => Err(answer.refusal(run)?),
    }
}

/// What the sender knows of a message. The life of the run, the number and the instant are the server's to bind to it.
fn content_of(run: &RunId, message: &NewMessage) -> Checksum {
    let NewMessage { id, key, kind, body, incarnation: _ } = message.clone();
    checksum(run, Message { number: 0, id, key, kind, body, at: Timestamp(0) })
}

/// The checksum of a message wherever it stands.
pub(crate) fn checksum(run: &RunId, message: Message) -> Checksum {
    Message { number: 0, at: Timestamp(0), ..message }.checksum(run, Incarnation(0))
}

pub(crate) async fn delete(inner: &Inner, run: &RunId, guard: Delete) -> Result<bool> {
    let (kind, wanted) = match guard {
        Delete::Any => (0, None),
        Delete::Finished(incarnation) => (1, Some(incarnation)),
        Delete::NotDriven(incarnation) => (2, Some(incarnation)),
    };
    let floor = inner.seen.floor(run);
    let values = [Value::text(run.as_str()), Value::int(kind), Value::Bytes(wanted.map(incarnation))];
    let answer = write(inner, &inner.statements.delete, &values).await?;
    if answer.code == answer::OK {
        inner.seen.forget(run);
        inner.followers.notify(run);
        return Ok(answer.a == 1);
    }
    let row = answer.row(run)?.ok_or_else(nonsense)?;
    inner.seen.check(run, floor, row.stand(), false)?;
    Err(answer.refusal(run)?)
}

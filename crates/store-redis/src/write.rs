//! Opens, renewals, messages and deletions: packed for their scripts, and what those say.

use milepost_core::{
    Applied, Checksum, Clash, Delete, Error, ErrorKind, Floor, Incarnation, Mode, NewMessage, Open, Opened,
    Refusal, Renew, Result, RunId, Sent, Takeover,
};

use crate::{
    answer::{self, Answer},
    entry::pack_message,
    layout::Keys,
    link::Call,
    pack::Packer,
    read,
    row::{Found, Row, Told, pack_fence, pack_info, pack_note, position, span},
    scripts::{self, Script},
    store::Inner,
};

/// How often a deletion is sent whose run was replaced by another one of the same id meanwhile.
const ATTEMPTS: usize = 16;

async fn write(inner: &Inner, script: &Script, keys: Vec<Vec<u8>>, more: Vec<Vec<u8>>) -> Result<Answer> {
    let mut args = vec![inner.now()];
    args.extend(more);
    let value = inner.link.call(&Call { script, keys, args, writes: true }).await?;
    // Whatever a script refuses, damaged data too, it refuses before its first write.
    Answer::read(value).map_err(|error| error.with_applied(Applied::No))
}

/// `HEADER` of `open.lua`.
fn open_header(inner: &Inner, open: &Open) -> Vec<u8> {
    let mode = match open.mode {
        Mode::Create => 0,
        Mode::Resume => 1,
        Mode::CreateOrResume => 2,
    };
    let over = match open.takeover {
        Takeover::IfDue => None,
        Takeover::Over(fence) => Some(pack_fence(fence)),
    };
    let ids = &inner.config.ids;
    let mut packed = Packer::default();
    packed.raw(&open.id.0.to_le_bytes()).byte(mode);
    packed.raw(&ids.incarnation().0.to_le_bytes()).raw(&ids.token().0.to_le_bytes());
    packed.i64(span(open.ttl.max(inner.capabilities.limits.min_ttl)));
    packed.byte(over.is_some().into()).raw(&over.unwrap_or([0; 32]));
    packed.byte(open.reopen_failed.into()).byte(open.manifest.is_some().into());
    packed.raw(&open.manifest.map_or([0; 32], |manifest| manifest.0.0));
    packed.i64(open.origin.as_ref().map_or(-1, |origin| position(origin.cursor)));
    packed.0
}

pub(crate) async fn open(inner: &Inner, run: &RunId, open: Open) -> Result<Opened> {
    let keys = inner.keys(run);
    let info = open.info.as_ref().zip(open.manifest.as_ref());
    let info = info.map(|(info, manifest)| pack_info(manifest, info, open.origin.as_ref()));
    let args = vec![open_header(inner, &open), open.owner.as_str().into(), info.unwrap_or_default()];
    let floor = inner.seen.floor(run);
    let mut answer = write(inner, &scripts::OPEN, keys.with_info(open.info.as_ref()), args).await?;
    if answer.code == answer::NOT_FOUND {
        return Err(Refusal::NotFound.into());
    }
    let Found { row, head, created } = Found::read(&keys, run, &mut answer)?;
    let opened_anew = answer.code == answer::OK && answer.number()? == 0;
    if let Err(lost) = inner.seen.check(run, floor, row.stand(), opened_anew) {
        if answer.code == answer::OK {
            // The run is open now, as it is: who was told may open it again and go on from there.
            inner.seen.settle(run, row.stand());
        }
        return Err(lost.with_applied(Applied::Maybe));
    }
    match answer.code {
        answer::OK => {
            inner.known.read(run, &row);
            inner.followers.notify(run);
            Ok(Opened { fence: head.fence, head, created })
        }
        answer::ALREADY_EXISTS => Err(Refusal::AlreadyExists.into()),
        answer::MANIFEST => {
            let given = open.manifest.ok_or_else(|| answer.nonsense())?;
            Err(Refusal::ManifestMismatch { stored: head.manifest, given }.into())
        }
        answer::FINISHED => {
            let outcome = head.outcome.ok_or_else(|| answer.nonsense())?;
            Err(Refusal::Finished { outcome }.into())
        }
        answer::LEASE_HELD => {
            let owner = head.lease.map(|lease| lease.owner);
            Err(Refusal::LeaseHeld { owner, expires_in: head.due.map(|due| due.since(head.at)) }.into())
        }
        _ => Err(answer.nonsense()),
    }
}

pub(crate) async fn renew(inner: &Inner, run: &RunId, renew: Renew) -> Result<()> {
    let (keys, floor) = (inner.keys(run), inner.seen.floor(run));
    let mut header = Packer::default();
    header.raw(&pack_fence(renew.fence)).i64(span(renew.ttl.max(inner.capabilities.limits.min_ttl)));
    header.byte(renew.note.is_some().into());
    let mut args = vec![header.0];
    args.extend(renew.note.as_ref().map(pack_note));
    let mut answer = write(inner, &scripts::RENEW, keys.all(), args).await?;
    match answer.code {
        answer::NOT_FOUND => Err(Refusal::NotFound.into()),
        answer::FINISHED => Err(refusal(inner, run, &keys, floor, answer)?),
        code => {
            let row = Row::read(&keys, &answer.bytes()?)?;
            inner
                .seen
                .check(run, floor, row.stand(), false)
                .map_err(|lost| lost.with_applied(Applied::Maybe))?;
            match code {
                answer::OK => {
                    inner.known.read(run, &row);
                    Ok(())
                }
                answer::FENCED => Err(Refusal::Fenced { current: row.fence }.into()),
                _ => Err(answer.nonsense()),
            }
        }
    }
}

/// A refusal that comes with the head.
fn refusal(inner: &Inner, run: &RunId, keys: &Keys, floor: Floor, mut answer: Answer) -> Result<Error> {
    let Found { row, head, .. } = Found::read(keys, run, &mut answer)?;
    inner.seen.check(run, floor, row.stand(), false)?;
    let clash = match answer.code {
        answer::FINISHED => {
            let outcome = head.outcome.ok_or_else(|| answer.nonsense())?;
            return Ok(Refusal::Finished { outcome }.into());
        }
        answer::NOT_FINISHED => Clash::NotFinished,
        answer::DRIVEN => Clash::Driven,
        _ => return Err(answer.nonsense()),
    };
    Ok(Refusal::Conflict { head: Box::new(head), clash }.into())
}

pub(crate) async fn send(inner: &Inner, run: &RunId, message: NewMessage) -> Result<Sent> {
    let (keys, floor) = (inner.keys(run), inner.seen.floor(run));
    let content = Checksum::of_parts("redis message", &[message.kind.as_str().as_bytes(), &message.body]);
    let mut header = Packer::default();
    header.byte(message.incarnation.is_some().into());
    header.raw(&message.incarnation.unwrap_or(Incarnation(0)).0.to_le_bytes()).raw(&content.0);
    let args = vec![header.0, message.key.as_str().into(), pack_message(run, &message)];
    let mut answer = write(inner, &scripts::SEND, keys.all(), args).await?;
    match answer.code {
        answer::NOT_FOUND => Err(Refusal::NotFound.into()),
        answer::FINISHED => Err(refusal(inner, run, &keys, floor, answer)?),
        code => {
            let row = Row::read(&keys, &answer.bytes()?)?;
            inner
                .seen
                .check(run, floor, row.stand(), false)
                .map_err(|lost| lost.with_applied(Applied::Maybe))?;
            let number = answer.unsigned()?;
            match code {
                answer::OK => {
                    inner.known.refresh(run, &row);
                    inner.followers.notify(run);
                    Ok(Sent::Accepted { number })
                }
                answer::REPLAYED => Ok(Sent::Repeated { number }),
                answer::CONFLICTING => Ok(Sent::Conflicting { number }),
                _ => Err(answer.nonsense()),
            }
        }
    }
}

/// Deletes a run. Which indexes hold it stands in its info, so that is read first; the script then goes by it only if
/// it is of the same life.
pub(crate) async fn delete(inner: &Inner, run: &RunId, guard: Delete) -> Result<bool> {
    let keys = inner.keys(run);
    let (kind, wanted) = match guard {
        Delete::Any => (0, Incarnation(0)),
        Delete::Finished(incarnation) => (1, incarnation),
        Delete::NotDriven(incarnation) => (2, incarnation),
    };
    for _ in 0..ATTEMPTS {
        let told = told(inner, &keys, guard).await.map_err(|error| error.with_applied(Applied::No))?;
        let (seen, told) = told;
        let all = keys.with_info(told.as_ref().map(|told| &told.info));
        let mut header = Packer::default();
        header.byte(kind).raw(&wanted.0.to_le_bytes()).raw(&seen.0.to_le_bytes());
        let floor = inner.seen.floor(run);
        let mut answer = write(inner, &scripts::DELETE, all, vec![header.0]).await?;
        return match answer.code {
            answer::OK => {
                inner.seen.forget(run);
                inner.known.forget(run);
                inner.followers.notify(run);
                Ok(answer.number()? == 1)
            }
            answer::NOT_FOUND => Err(Refusal::NotFound.into()),
            answer::RETRY => continue,
            _ => Err(refusal(inner, run, &keys, floor, answer)?),
        };
    }
    let error = Error::new(ErrorKind::Busy, "the run is replaced faster than it can be deleted");
    Err(error.with_applied(Applied::No))
}

/// The life of a run that is not there, and of one that is damaged and may be any: no run has either.
const NOBODY: Incarnation = Incarnation(0);
const WHOEVER: Incarnation = Incarnation(u128::MAX);

/// The info of a run and the life that it is of. One that is damaged stands in nobody's way who deletes whatever is there.
async fn told(inner: &Inner, keys: &Keys, guard: Delete) -> Result<(Incarnation, Option<Told>)> {
    let answer = read::parts(inner, keys).await;
    let told = answer.and_then(|answer| {
        let Some(mut answer) = answer else { return Ok((NOBODY, None)) };
        let row = Row::read(keys, &answer.bytes()?)?;
        answer.option()?;
        let incarnation = row.fence.incarnation;
        Ok((incarnation, Some(Told::read(keys, incarnation, &answer.bytes()?)?)))
    });
    match told {
        Err(error) if guard == Delete::Any && error.kind() == ErrorKind::Corrupt => Ok((WHOEVER, None)),
        told => told,
    }
}

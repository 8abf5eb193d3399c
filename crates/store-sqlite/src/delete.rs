//! The verdict on a deletion, and what it writes.

use milepost_core::{Clash, Delete, Refusal};

use crate::{
    image::Image,
    job::{Answer, Context, Decided, Verdict},
    plan::{Step, Write},
    sql::Value,
};

/// Judges a deletion in the documented order of verdicts. It leaves nothing behind: a writer of the deleted run finds
/// no run, and a later run of the same id has another key and another incarnation.
pub(crate) fn judge(guard: Delete, image: Option<Image>, context: &Context<'_>) -> Verdict {
    let Some(image) = image else { return Ok(Decided::unchanged(Answer::Deleted(false))) };
    let row = &image.row;
    let clash = match guard {
        Delete::Any => None,
        Delete::Finished(own) | Delete::NotDriven(own) if own != row.fence.incarnation => {
            return Err(Refusal::NotFound.into());
        }
        Delete::Finished(_) => row.outcome.is_none().then_some(Clash::NotFinished),
        Delete::NotDriven(_) => context.here.is_driven(row, context.now).then_some(Clash::Driven),
    };
    if let Some(clash) = clash {
        return Err(context.conflict(&image, clash)?.into());
    }
    let erase = |step| Write::new(step, [Value::Int(image.row.key)]);
    let writes = Step::ERASE.into_iter().map(erase).collect();
    Ok(Decided { answer: Answer::Deleted(true), writes, left: None })
}

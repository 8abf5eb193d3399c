//! The verdict on a renewal, and what it writes.

use milepost_core::{Refusal, Renew};

use crate::{
    commit::extend,
    image::Image,
    job::{Answer, Context, Decided, Verdict, check_fence},
};

/// Judges a renewal in the documented order of verdicts.
pub(crate) fn judge(renew: &Renew, image: Option<Image>, context: &Context<'_>) -> Verdict {
    let image = image.filter(|image| image.row.fence.incarnation == renew.fence.incarnation);
    let image = image.ok_or(Refusal::NotFound)?;
    check_fence(&image, renew.fence)?;
    let mut row = image.row;
    extend(&mut row, context.lease_end(renew.ttl));
    if !row.draft {
        row.due = row.lease.as_ref().map(|lease| lease.until);
    }
    if let Some(note) = &renew.note {
        row.note = Some(note.clone());
    }
    Ok(Decided::changed(Answer::Renewed, row, Vec::new()))
}

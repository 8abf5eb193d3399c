//! When the answers of a store and of the model are the same.
//!
//! Where the store runs by the kit's clock they are equal to the microsecond. Where it runs by its own, the model's
//! clock stands still, and instants are compared by what they mean: past or to come.

use milepost_core::{Head, Lease, Order, Record, Refusal, Timestamp};
use milepost_store_memory::Answer;

use super::ask::{Ask, Told};

/// Whether the store's answer to `ask` is the model's.
pub(crate) fn alike(ask: &Ask, store: &Told, model: &Told, exact: bool) -> bool {
    if exact {
        return store == model;
    }
    let (mut store, mut model) = (timeless(store), timeless(model));
    if let (Ask::List(query), Told::Heads(one), Told::Heads(other)) = (ask, &mut store, &mut model)
        && query.order == Order::NewestFirst
    {
        // The order of instants that the model does not know.
        one.sort_by(|a, b| a.run.cmp(&b.run));
        other.sort_by(|a, b| a.run.cmp(&b.run));
    }
    store == model
}

/// An answer in which no instant says more than whether it has come.
pub(crate) fn timeless(told: &Told) -> Told {
    match told {
        Told::Answer(answer) => Told::Answer(Box::new(match &**answer {
            Answer::Opened(opened) => {
                let mut opened = opened.clone();
                opened.head = undated(&opened.head);
                Answer::Opened(opened)
            }
            other => other.clone(),
        })),
        Told::Many(answers) => Told::Many(answers.iter().map(timeless).collect()),
        Told::Head(head) => Told::Head(head.as_ref().map(|head| Box::new(undated(head)))),
        Told::Heads(heads) => Told::Heads(heads.iter().map(undated).collect()),
        Told::Records(records) => Told::Records(
            records.iter().map(|record| Record { at: Timestamp::default(), ..record.clone() }).collect(),
        ),
        Told::Messages(messages) => {
            let mut messages = messages.clone();
            messages.iter_mut().for_each(|message| message.at = Timestamp::default());
            Told::Messages(messages)
        }
        Told::Refused(refusal) => Told::Refused(Box::new(match &**refusal {
            Refusal::LeaseHeld { owner, expires_in } => Refusal::LeaseHeld {
                owner: owner.clone(),
                expires_in: expires_in.map(|_| Default::default()),
            },
            Refusal::Conflict { head, clash } => {
                Refusal::Conflict { head: Box::new(undated(head)), clash: *clash }
            }
            other => other.clone(),
        })),
        other => other.clone(),
    }
}

/// A head in which an instant that has come is 0 and one to come is 1.
fn undated(head: &Head) -> Head {
    let come = |instant: Timestamp| Timestamp(i64::from(instant > head.at));
    Head {
        at: Timestamp::default(),
        created_at: come(head.created_at),
        updated_at: come(head.updated_at),
        lease: head.lease.clone().map(|lease| Lease { until: come(lease.until), ..lease }),
        due: head.due.map(come),
        delete_after: head.delete_after.map(come),
        ..head.clone()
    }
}

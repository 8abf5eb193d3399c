//! Sending: the first message of a key wins.

use std::collections::BTreeSet;

use crate::areas::{moves::ends, prelude::*};

cases! { inbox:
    /// Messages are numbered gaplessly from 1 in the order of acceptance, and kept as they were sent.
    messages_are_numbered_gaplessly [Inbox],
    /// The same content again, its sender's lost acknowledgement included, is `Repeated` and changes nothing.
    the_same_content_again_is_repeated [Inbox],
    /// Another kind or body under a known key is `Conflicting` and changes nothing.
    other_content_is_conflicting [Inbox],
    /// Of racing senders of one key the first wins, and every other is told its number.
    of_16_racing_senders_one_wins [Inbox],
    /// A message that is sent 16 times at once is accepted once.
    one_message_sent_16_times_at_once_is_there_once [Inbox],
    /// Racing senders of different keys get every number once.
    racing_senders_get_every_number_once [Inbox],
    /// A key is a name, byte for byte: keys that differ at all are different keys.
    keys_that_differ_at_all_stay_apart [Inbox],
    /// A run's keys are its own.
    each_run_has_its_own_keys [Inbox],
    /// A message's body may be empty and may hold any bytes, up to the limit of a record; one byte more is `TooLarge`.
    bodies_are_any_bytes [Inbox],
    /// Sending raises no version and touches no lease: the owner's next commit holds.
    sending_never_disturbs_the_owner [Inbox],
    /// To a run that is not there, or that was deleted, a message is `NotFound`, and nothing is created.
    to_an_unknown_run_is_not_found [Inbox],
    /// A message for another life of the run is `NotFound`, also under a key that is known.
    to_an_earlier_incarnation_is_not_found [Inbox],
    /// A finished run, completed or failed, answers for the keys that it knows, and refuses every other message with its
    /// outcome.
    to_a_finished_run_is_finished [Inbox],
    /// A message that races the outcome is ordered before it, or refused.
    a_send_racing_the_outcome_is_before_it_or_refused [Inbox],
}

async fn messages_are_numbered_gaplessly(ctx: &Context) -> Verdict {
    let run = ctx.run("addressee");
    ctx.create(&run).await?;
    let mut sent = Vec::new();
    for number in 1..=6_u64 {
        let message = ctx.message(format!("key {}", 7 - number), format!("message {number}"));
        let store = if number % 2 == 0 { &ctx.a } else { &ctx.b };
        expect_eq("the answer", store.send(&run, message.clone()).await?, Sent::Accepted { number })?;
        expect_eq("sent again", store.send(&run, message.clone()).await?, Sent::Repeated { number })?;
        sent.push(message);
    }
    let head = ctx.head(&run).await?;
    expect_eq("the number of the newest message", head.newest_message, 6)?;
    expect_eq("the size of the inbox", head.sizes.messages, 6 * "message 1".len() as u64)?;
    for store in [&ctx.a, &ctx.b, &ctx.reopen().await?] {
        let messages = collect(store.inbox(&run, Span::all())).await?;
        let times = messages.iter().all(|message| message.at >= head.created_at && message.at <= head.at);
        expect("each was accepted between the open and now", times, &messages)?;
        let read = messages.into_iter().map(|message| {
            (message.number, NewMessage::new(message.id, message.key, message.kind, message.body))
        });
        expect_eq("the inbox", read.collect::<Vec<_>>(), (1..).zip(sent.clone()).collect::<Vec<_>>())?;
    }
    Ok(())
}

async fn the_same_content_again_is_repeated(ctx: &Context) -> Verdict {
    let run = ctx.run("addressee");
    ctx.create(&run).await?;
    let first = ctx.message("key", "content");
    ctx.a.send(&run, ctx.message("another", "content")).await?;
    expect_eq("first", ctx.a.send(&run, first.clone()).await?, Sent::Accepted { number: 2 })?;
    ctx.pass(Duration::from_millis(2)).await;
    ctx.unchanged(&run, async {
        for (store, message) in [(&ctx.a, first), (&ctx.b, ctx.message("key", "content"))] {
            expect_eq("again", store.send(&run, message).await?, Sent::Repeated { number: 2 })?;
        }
        Ok(())
    })
    .await
}

async fn other_content_is_conflicting(ctx: &Context) -> Verdict {
    let run = ctx.run("addressee");
    ctx.create(&run).await?;
    let of_kind = |kind, body| {
        let message = ctx.message("key", body);
        NewMessage { kind: Kind::from_static(kind), ..message }
    };
    let first = of_kind("ab", "cd");
    ctx.a.send(&run, first.clone()).await?;
    ctx.unchanged(&run, async {
        for other in [
            of_kind("ab", "other"),
            of_kind("ab", ""),
            of_kind("ab", "cd\0"),
            of_kind("other", "cd"),
            of_kind("a", "bcd"),
            of_kind("abc", "d"),
            NewMessage { id: first.id, ..of_kind("ab", "other") },
        ] {
            expect_eq("other content", ctx.b.send(&run, other).await?, Sent::Conflicting { number: 1 })?;
        }
        Ok(())
    })
    .await
}

async fn of_16_racing_senders_one_wins(ctx: &Context) -> Verdict {
    let run = ctx.run("addressee");
    ctx.create(&run).await?;
    let answers = ctx
        .race(16, |index, store| {
            let (run, message) = (run.clone(), ctx.message("key", format!("of sender {index}")));
            async move { store.send(&run, message).await }
        })
        .await?;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    let won: Vec<_> = (0..16).filter(|index| answers[*index] == Sent::Accepted { number: 1 }).collect();
    expect("one sender wins", won.len() == 1, &answers)?;
    let lost = answers.iter().filter(|answer| **answer == Sent::Conflicting { number: 1 }).count();
    expect("every other is told its number", lost == 15, &answers)?;
    let inbox = collect(ctx.b.inbox(&run, Span::all())).await?;
    let bodies: Vec<_> = inbox.into_iter().map(|message| message.body).collect();
    expect_eq("the inbox", bodies, vec![Bytes::from(format!("of sender {}", won[0]))])
}

async fn one_message_sent_16_times_at_once_is_there_once(ctx: &Context) -> Verdict {
    let run = ctx.run("addressee");
    ctx.create(&run).await?;
    let message = ctx.message("key", "once");
    let answers = ctx
        .race(16, |_, store| {
            let (run, message) = (run.clone(), message.clone());
            async move { store.send(&run, message).await }
        })
        .await?;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    let count = |wanted| answers.iter().filter(|answer| **answer == wanted).count();
    let counts = (count(Sent::Accepted { number: 1 }), count(Sent::Repeated { number: 1 }));
    expect_eq("how many were accepted and repeated", counts, (1, 15))?;
    expect_eq("the inbox's length", collect(ctx.b.inbox(&run, Span::all())).await?.len(), 1)
}

async fn racing_senders_get_every_number_once(ctx: &Context) -> Verdict {
    let run = ctx.run("addressee");
    ctx.create(&run).await?;
    let answers = ctx
        .race(16, |index, store| {
            let messages = (0..4).map(|count| ctx.message(format!("{index}-{count}"), format!("{index}")));
            let (run, messages) = (run.clone(), messages.collect::<Vec<_>>());
            async move {
                let mut numbers = Vec::new();
                for message in messages {
                    match store.send(&run, message).await? {
                        Sent::Accepted { number } => numbers.push(number),
                        other => unreachable!("nobody else sends this key: {other:?}"),
                    }
                }
                Ok::<_, Error>(numbers)
            }
        })
        .await?;
    let mut given = BTreeSet::new();
    for numbers in answers {
        let numbers = numbers?;
        expect("a sender's numbers ascend", numbers.is_sorted(), &numbers)?;
        given.extend(numbers);
    }
    expect_eq("the numbers given", given, (1..=64).collect::<BTreeSet<_>>())?;
    let inbox = collect(ctx.b.inbox(&run, Span::all())).await?;
    let numbers: Vec<_> = inbox.iter().map(|message| message.number).collect();
    expect_eq("the numbers in the inbox", numbers, (1..=64).collect::<Vec<_>>())?;
    expect_eq("the number of the newest message", ctx.head(&run).await?.newest_message, 64)
}

async fn keys_that_differ_at_all_stay_apart(ctx: &Context) -> Verdict {
    let run = ctx.run("addressee");
    ctx.create(&run).await?;
    let long = "x".repeat(MessageKey::LIMIT);
    let keys = [
        "key",
        "Key",
        "key ",
        " key",
        "key\n",
        "*",
        "k?y",
        "k%",
        "k_y",
        "'",
        "\"",
        ";--",
        ":",
        "/",
        "../key",
        "{key}",
        "e\u{301}",
        "\u{e9}",
        "\u{1f600}",
        "1",
        "01",
        &long,
        &long[1..],
    ];
    for (key, number) in keys.iter().zip(1..) {
        let sent = ctx.a.send(&run, ctx.message(key, "content")).await?;
        expect_eq(&format!("the answer to the key {key:?}"), sent, Sent::Accepted { number })?;
    }
    let inbox = collect(ctx.b.inbox(&run, Span::all())).await?;
    let read: Vec<_> = inbox.iter().map(|message| message.key.as_str()).collect();
    expect_eq("the keys in the inbox", read, keys.to_vec())
}

async fn each_run_has_its_own_keys(ctx: &Context) -> Verdict {
    let (one, another) = (ctx.run("one"), ctx.run("one-more"));
    ctx.create(&one).await?;
    ctx.create(&another).await?;
    ctx.a.send(&one, ctx.message("key", "to one")).await?;
    let sent = ctx.a.send(&another, ctx.message("key", "to another")).await?;
    expect_eq("the same key to another run", sent, Sent::Accepted { number: 1 })?;
    let inbox = collect(ctx.b.inbox(&one, Span::all())).await?;
    let bodies: Vec<_> = inbox.into_iter().map(|message| message.body).collect();
    expect_eq("the first one's inbox", bodies, vec![Bytes::from("to one")])
}

async fn bodies_are_any_bytes(ctx: &Context) -> Verdict {
    let run = ctx.run("addressee");
    ctx.create(&run).await?;
    let limit = usize::try_from(ctx.capabilities.limits.record).unwrap_or(usize::MAX);
    let every_byte: Vec<u8> = (0..=255).collect();
    let bodies = [vec![], vec![0], every_byte, vec![255; 3], "\u{1f600}".into(), vec![7; limit.min(1 << 20)]];
    for (body, number) in bodies.iter().zip(1..) {
        ctx.a.send(&run, ctx.message(format!("{number}"), body.clone())).await?;
    }
    let inbox = collect(ctx.b.inbox(&run, Span::all())).await?;
    expect_eq("the bodies read", inbox.into_iter().map(|message| message.body).collect::<Vec<_>>(), bodies)?;
    // A message of a huge limit would cost more memory than this sentence is worth.
    if limit <= 64 << 20 {
        let over = ctx.message("over", vec![0; limit + 1]);
        ctx.unchanged(&run, async {
            refused("a message of one byte too many", ctx.a.send(&run, over).await, ErrorKind::TooLarge)
        })
        .await?;
    }
    Ok(())
}

async fn sending_never_disturbs_the_owner(ctx: &Context) -> Verdict {
    let run = ctx.run("addressee");
    let mut driver = ctx.create(&run).await?;
    for count in 0..20 {
        let before = ctx.head(&run).await?;
        ctx.b.send(&run, ctx.message(format!("{count}"), "")).await?;
        let after = ctx.head(&run).await?;
        let kept = |head: &Head| (head.version, head.updated_at, head.lease.clone(), head.due, head.fence);
        expect_eq("what a message must leave alone", kept(&after), kept(&before))?;
        ctx.commit(&mut driver, |commit| commit).await?;
    }
    let senders = ctx.race(8, |index, store| {
        let messages = (0..10).map(|count| ctx.message(format!("{index}-{count}"), "")).collect::<Vec<_>>();
        let run = run.clone();
        async move {
            for message in messages {
                store.send(&run, message).await?;
            }
            Ok::<_, Error>(())
        }
    });
    let owner = async {
        for _ in 0..20 {
            ctx.commit(&mut driver, |commit| commit).await?;
        }
        Ok::<_, crate::Failure>(())
    };
    let (sent, committed) = futures_util::join!(senders, owner);
    committed?;
    sent?.into_iter().collect::<Result<()>>()?;
    expect_eq("the number of the newest message", ctx.head(&run).await?.newest_message, 100)
}

async fn to_an_unknown_run_is_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("unknown");
    let sent = ctx.a.send(&run, ctx.message("key", "content")).await;
    refused_as("a message to an unknown run", sent, Refusal::NotFound)?;
    expect_eq("the head after it", ctx.b.head(&run).await?, None)?;
    ctx.create(&run).await?;
    ctx.a.send(&run, ctx.message("key", "content")).await?;
    expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
    let sent = ctx.b.send(&run, ctx.message("key", "content")).await;
    refused_as("a message to a deleted run", sent, Refusal::NotFound)?;
    expect_eq("the head after it", ctx.b.head(&run).await?, None)
}

async fn to_an_earlier_incarnation_is_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("recreated");
    let old = ctx.create(&run).await?.fence.incarnation;
    let guarded = ctx.message("before", "content").incarnation(old);
    expect_eq("to this life", ctx.a.send(&run, guarded).await?, Sent::Accepted { number: 1 })?;
    expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
    let mut driver = ctx.create(&run).await?;
    ctx.a.send(&run, ctx.message("known", "content")).await?;
    for finished in [false, true] {
        if finished {
            ctx.complete(&mut driver).await?;
        }
        ctx.unchanged(&run, async {
            for key in ["known", "new"] {
                let late = ctx.message(key, "content").incarnation(old);
                refused_as("to an earlier life", ctx.b.send(&run, late).await, Refusal::NotFound)?;
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn to_a_finished_run_is_finished(ctx: &Context) -> Verdict {
    for (label, outcome) in ends() {
        let run = ctx.run(label);
        let mut driver = ctx.create(&run).await?;
        for key in ["taken", "waiting"] {
            ctx.a.send(&run, ctx.message(key, "content")).await?;
        }
        ctx.commit(&mut driver, |commit| commit.take(1).finish(outcome.clone(), Retain::Keep)).await?;
        ctx.unchanged(&run, async {
            for (key, number) in [("taken", 1), ("waiting", 2)] {
                let same = ctx.b.send(&run, ctx.message(key, "content")).await?;
                expect_eq("the same content", same, Sent::Repeated { number })?;
                let other = ctx.b.send(&run, ctx.message(key, "other")).await?;
                expect_eq("other content", other, Sent::Conflicting { number })?;
            }
            let new = ctx.b.send(&run, ctx.message("new", "content")).await;
            refused_as("a new message", new, Refusal::Finished { outcome })
        })
        .await?;
    }
    Ok(())
}

async fn a_send_racing_the_outcome_is_before_it_or_refused(ctx: &Context) -> Verdict {
    for round in 0..ctx.tuning().rounds.div_ceil(20) {
        let run = ctx.run(&format!("finishing-{round}"));
        let mut driver = ctx.create(&run).await?;
        let message = ctx.message("key", "content");
        let (finished, sent) = futures_util::join!(ctx.complete(&mut driver), ctx.b.send(&run, message));
        finished?;
        let newest = match sent {
            Ok(sent) => {
                expect_eq("the answer", sent, Sent::Accepted { number: 1 })?;
                1
            }
            refusal => {
                refused("a message too late", refusal, ErrorKind::Finished)?;
                0
            }
        };
        expect_eq("the newest message", ctx.head(&run).await?.newest_message, newest)?;
        let inbox = collect(ctx.b.inbox(&run, Span::all())).await?;
        expect_eq("the inbox's length", inbox.len() as u64, newest)?;
    }
    Ok(())
}

//! Streaming an inbox.

use crate::areas::prelude::*;

cases! { inbox:
    /// Every span of an inbox gives the waiting messages of its positions, whatever the page; taken ones are skipped.
    every_span_gives_what_waits_in_it [Inbox],
    /// An inbox of a run that is not there, or of another life of it, is `NotFound`.
    the_inbox_of_no_run_is_not_found [Inbox],
    /// Large inboxes stream in pages, whole and in order.
    a_thousand_messages_stream_in_order [Inbox],
    /// A following stream sees later messages in order, sent through either handle, and none that was taken before.
    a_follower_sees_later_messages [Inbox, Follow],
    /// A following stream of an inbox survives release and takeover, and ends when the run has finished.
    a_follower_of_an_inbox_ends_with_the_run [Inbox, Follow],
    /// A following stream of an inbox is `NotFound` once its run was deleted, also when the name lives again.
    a_follower_of_an_inbox_gets_not_found [Inbox, Follow],
    /// A following stream of an inbox ends at its limit and at its last position.
    a_follower_of_an_inbox_ends_at_its_bounds [Inbox, Follow],
    /// A stream that follows goes forward: in reverse it is `Invalid`.
    following_an_inbox_in_reverse_is_invalid [Inbox, Follow],
    /// A message carries the instant at which the store accepted it, whenever it is read.
    a_message_tells_when_it_came [Inbox, clock],
}

async fn send(ctx: &Context, run: &RunId, number: u64) -> Verdict {
    let store = if number.is_multiple_of(2) { &ctx.a } else { &ctx.b };
    let message = ctx.message(format!("key {number}"), format!("message {number}"));
    expect_eq("the answer", store.send(run, message).await?, Sent::Accepted { number })
}

async fn every_span_gives_what_waits_in_it(ctx: &Context) -> Verdict {
    let run = ctx.run("inbox");
    let mut driver = ctx.create(&run).await?;
    for number in 1..=6 {
        send(ctx, &run, number).await?;
    }
    ctx.commit(&mut driver, |commit| commit.take(1).take(4)).await?;
    let all = collect(ctx.b.inbox(&run, Span::all())).await?;
    for (index, span) in spans().into_iter().enumerate() {
        let mut wanted: Vec<_> = all
            .iter()
            .filter(|message| message.number > span.after && message.number <= span.until.unwrap_or(u64::MAX))
            .cloned()
            .collect();
        if span.reverse {
            wanted.reverse();
        }
        wanted.truncate(span.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)));
        let store = if index % 2 == 0 { &ctx.a } else { &ctx.b };
        expect_eq(&format!("the messages of {span:?}"), collect(store.inbox(&run, span)).await?, wanted)?;
    }
    let numbers: Vec<_> = all.iter().map(|message| message.number).collect();
    expect_eq("the numbers that wait", numbers, vec![2, 3, 5, 6])
}

/// Spans over an inbox of six.
fn spans() -> Vec<Span> {
    let mut spans = Vec::new();
    for after in [0, 1, 3, 4, 5, 6, 7, u64::MAX] {
        for until in [None, Some(0), Some(1), Some(4), Some(5), Some(6), Some(u64::MAX)] {
            for limit in [None, Some(0), Some(1), Some(3), Some(1 << 32), Some(u64::MAX)] {
                for (reverse, page) in [(false, None), (true, None), (false, Some(1)), (true, Some(2))] {
                    spans.push(Span { after, until, limit, reverse, page, ..Span::all() });
                }
            }
        }
    }
    spans
}

async fn the_inbox_of_no_run_is_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("inbox");
    refused_as("an unknown run", collect(ctx.a.inbox(&run, Span::all())).await, Refusal::NotFound)?;
    let old = ctx.create(&run).await?.fence.incarnation;
    send(ctx, &run, 1).await?;
    let mine = collect(ctx.a.inbox(&run, Span::all().incarnation(old))).await?;
    expect_eq("how many of this life", mine.len(), 1)?;
    expect("it is deleted", ctx.a.delete(&run, Delete::Any).await?, ())?;
    refused_as("a deleted run", collect(ctx.b.inbox(&run, Span::all())).await, Refusal::NotFound)?;
    ctx.create(&run).await?;
    send(ctx, &run, 1).await?;
    let earlier = collect(ctx.b.inbox(&run, Span::all().incarnation(old))).await;
    refused_as("an earlier life", earlier, Refusal::NotFound)
}

async fn a_thousand_messages_stream_in_order(ctx: &Context) -> Verdict {
    let run = ctx.run("inbox");
    ctx.create(&run).await?;
    let count = u64::from(ctx.tuning().rounds);
    for number in 1..=count {
        send(ctx, &run, number).await?;
    }
    for (span, wanted) in [
        (Span::all(), (1..=count).collect::<Vec<_>>()),
        (Span::all().page(7), (1..=count).collect()),
        (Span::all().page(64).reverse(), (1..=count).rev().collect()),
    ] {
        let messages = collect(ctx.b.inbox(&run, span)).await?;
        let numbers: Vec<_> = messages.iter().map(|message| message.number).collect();
        expect_eq("the numbers", numbers, wanted)?;
        let bodies = messages.iter().all(|message| message.body == format!("message {}", message.number));
        expect("each has its own body", bodies, ())?;
    }
    Ok(())
}

async fn a_follower_sees_later_messages(ctx: &Context) -> Verdict {
    let run = ctx.run("inbox");
    let mut driver = ctx.create(&run).await?;
    send(ctx, &run, 1).await?;
    send(ctx, &run, 2).await?;
    ctx.commit(&mut driver, |commit| commit.take(1)).await?;
    let mut followers = [&ctx.a, &ctx.b].map(|store| store.inbox(&run, Span::all().follow()));
    for follower in &mut followers {
        expect_eq("what waits", next(follower).await?.map(|message| message.number), Some(2))?;
    }
    for number in 3..=30 {
        let [one, another] = &mut followers;
        let (one, another, sent) = futures_util::join!(next(one), next(another), send(ctx, &run, number));
        sent?;
        for message in [one?, another?] {
            expect_eq("what came", message.map(|message| message.number), Some(number))?;
        }
    }
    Ok(())
}

async fn a_follower_of_an_inbox_ends_with_the_run(ctx: &Context) -> Verdict {
    let run = ctx.run("inbox");
    let mut driver = ctx.create(&run).await?;
    let mut follower = ctx.b.inbox(&run, Span::all().follow());
    let released = ctx.commit(&mut driver, |commit| commit.release(Wake::message(0)));
    let (message, released) = futures_util::join!(next(&mut follower), async {
        released.await?;
        send(ctx, &run, 1).await
    });
    released?;
    expect_eq("what woke the run", message?.map(|message| message.number), Some(1))?;
    let mut driver = ctx.resume(&run).await?;
    let (message, sent) = futures_util::join!(next(&mut follower), send(ctx, &run, 2));
    sent?;
    expect_eq("what came after the takeover", message?.map(|message| message.number), Some(2))?;
    send(ctx, &run, 3).await?;
    ctx.complete(&mut driver).await?;
    expect_eq("the last one", next(&mut follower).await?.map(|message| message.number), Some(3))?;
    expect_eq("then", next(&mut follower).await?, None)?;
    let late = collect(ctx.a.inbox(&run, Span::after(1).follow())).await?;
    expect_eq("how many follow after the end", late.len(), 2)
}

async fn a_follower_of_an_inbox_gets_not_found(ctx: &Context) -> Verdict {
    let run = ctx.run("inbox");
    for lives_again in [false, true] {
        ctx.create(&run).await?;
        send(ctx, &run, 1).await?;
        let mut follower = ctx.b.inbox(&run, Span::all().follow());
        expect_eq("what waits", next(&mut follower).await?.map(|message| message.number), Some(1))?;
        let (came, deleted) = futures_util::join!(next(&mut follower), async {
            ctx.a.delete(&run, Delete::Any).await?;
            if lives_again {
                ctx.create(&run).await?;
                send(ctx, &run, 1).await?;
                send(ctx, &run, 2).await?;
            }
            Ok::<_, crate::Failure>(())
        });
        deleted?;
        refused_as("what follows", came, Refusal::NotFound)?;
    }
    let none = collect(ctx.b.inbox(&ctx.run("unknown"), Span::all().follow())).await;
    refused_as("following an unknown run", none, Refusal::NotFound)
}

async fn a_follower_of_an_inbox_ends_at_its_bounds(ctx: &Context) -> Verdict {
    let run = ctx.run("inbox");
    ctx.create(&run).await?;
    let limited = collect(ctx.b.inbox(&run, Span::all().follow().limit(2)));
    let bounded = collect(ctx.b.inbox(&run, Span::after(1).follow().until(3)));
    let (limited, bounded, sent) = futures_util::join!(limited, bounded, async {
        for number in 1..=4 {
            send(ctx, &run, number).await?;
        }
        Ok::<_, crate::Failure>(())
    });
    sent?;
    let numbers = |messages: Vec<Message>| messages.iter().map(|message| message.number).collect::<Vec<_>>();
    expect_eq("up to the limit", numbers(limited?), vec![1, 2])?;
    expect_eq("up to the last position", numbers(bounded?), vec![2, 3])?;
    let none = collect(ctx.b.inbox(&run, Span::all().follow().limit(0))).await?;
    expect_eq("none at all", none, vec![])
}

async fn following_an_inbox_in_reverse_is_invalid(ctx: &Context) -> Verdict {
    let run = ctx.run("inbox");
    ctx.create(&run).await?;
    send(ctx, &run, 1).await?;
    let backward = collect(ctx.a.inbox(&run, Span::all().follow().reverse())).await;
    refused("following in reverse", backward, ErrorKind::Invalid).map(drop)
}

async fn a_message_tells_when_it_came(ctx: &Context) -> Verdict {
    let run = ctx.run("timed");
    ctx.create(&run).await?;
    let mut came = Vec::new();
    for key in ["first", "second", "third"] {
        ctx.pass(Duration::from_millis(3)).await;
        ctx.b.send(&run, ctx.message(key, key)).await?;
        came.push(ctx.head(&run).await?.at);
    }
    ctx.pass(Duration::from_millis(3)).await;
    let messages = collect(ctx.a.inbox(&run, Span::all())).await?;
    let told: Vec<_> = messages.iter().map(|message| message.at).collect();
    expect_eq("when the messages came", told, came)
}

//! The engine is killed after each of its commits, before anything is sent, and another one
//! continues.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use sm_sr::es5::{Bearer, Job};
use world::{BoxFuture, ChangeSet, Committed, Fault, MemoryRecords, Records, Stored};

use crate::{
    card::{self, Card, State, isd_p},
    testbed::{NUMBER, Rig, config, data, enable, run},
};

/// Records that fail after a number of commits with changes.
struct Mortal {
    inner: MemoryRecords,
    commits: Arc<AtomicI64>,
}

impl Mortal {
    fn living(&self) -> Result<(), Fault> {
        match self.commits.load(Ordering::SeqCst) {
            0 => Err(Fault::new("cannot use the records", "the process was killed", "start it again")),
            _ => Ok(()),
        }
    }
}

impl Records for Mortal {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        Box::pin(async move {
            self.living()?;
            self.inner.read(collection, key).await
        })
    }

    fn list<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        Box::pin(async move {
            self.living()?;
            self.inner.list(collection, prefix).await
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move {
            self.living()?;
            let changed = !changes.changes.is_empty();
            let committed = self.inner.commit(changes).await?;
            if changed {
                self.commits.fetch_sub(1, Ordering::SeqCst);
            }
            Ok(committed)
        })
    }
}

const IMMORTAL: i64 = i64::MAX;

/// A testbed whose engine is killed after a number of commits, immediately before it sends
/// anything.
struct Dying {
    rig: Rig,
    records: Arc<Mortal>,
}

impl Dying {
    fn new() -> Self {
        let commits = Arc::new(AtomicI64::new(IMMORTAL));
        let records = Arc::new(Mortal { inner: MemoryRecords::default(), commits: commits.clone() });
        let rig = Rig::over(records.clone(), config());
        *rig.centre.lives.lock().unwrap() = Some(commits);
        Self { rig, records }
    }

    /// Sets the number of commits that are left.
    fn dies_after(&self, commits: i64) {
        self.records.commits.store(commits, Ordering::SeqCst);
    }

    /// Returns true if the engine was killed; then another one, which is not killed, replaces it.
    fn replaced(&mut self) -> bool {
        let is_dead = self.records.commits.load(Ordering::SeqCst) == 0;
        if is_dead {
            self.survives();
            self.rig.restart();
        }
        is_dead
    }

    fn survives(&self) {
        self.records.commits.store(IMMORTAL, Ordering::SeqCst);
    }
}

/// Runs until everything is answered, replacing a killed engine.
async fn finish(dying: &mut Dying, card: &mut Card) {
    for _ in 0..8 {
        dying.rig.pump(card).await;
        dying.rig.pass(31).await;
    }
}

#[tokio::test]
async fn every_kill_over_short_messages_is_survived() {
    let mut deaths = 0;
    for lives in 1.. {
        let (mut dying, mut card) = (Dying::new(), Card::new());
        dying.rig.enqueue(enable(0x11)).await;
        dying.dies_after(lives);
        let mut died = false;
        loop {
            let _ = dying.rig.engine.run_due().await;
            died |= dying.replaced();
            let sent = dying.rig.take();
            if sent.is_empty() {
                break;
            }
            for says in dying.rig.give(&mut card, sent) {
                let card::Says::Submit(parts) = says else { panic!() };
                for part in parts {
                    // A message that could not be stored is delivered again.
                    let arrived = || {
                        let from = NUMBER.parse().unwrap();
                        let to = crate::testbed::SM_SR.parse().unwrap();
                        world::Arrived::Message(world::ShortMessage {
                            from,
                            to,
                            protocol_identifier: 0,
                            data_coding: 0xF6,
                            has_header: true,
                            user_data: part.clone(),
                        })
                    };
                    while dying.rig.engine.short_message(arrived()).await.is_err() {
                        assert!(dying.replaced());
                        died = true;
                    }
                }
            }
        }
        died |= dying.replaced();
        dying.survives();
        deaths += i32::from(died);
        finish(&mut dying, &mut card).await;
        assert_eq!(card.isd_ps[&isd_p(0x11)], State::Enabled, "died after {lives}");
        let told = dying.rig.told().await;
        assert_eq!(told.len(), 1, "died after {lives}: {told:?}");
        assert!(["enable answered 9000", "enable found done"].contains(&told[0].as_str()), "{told:?}");
        assert_eq!(dying.rig.waiting().await, 0);
        if !died {
            break;
        }
    }
    assert!(deaths >= 3, "{deaths}: the counter, the submission, the answer");
}

#[tokio::test]
async fn every_kill_over_https_is_survived() {
    let mut deaths = 0;
    for lives in 1.. {
        let (mut dying, mut card) = (Dying::new(), Card::new());
        dying.rig.enqueue(Job { via: Some(Bearer::Https), ..enable(0x11) }).await;
        dying.rig.enqueue(Job { more_to_do: false, ..data(1500, "data") }).await;
        dying.dies_after(lives);
        let _ = dying.rig.engine.run_due().await;
        let mut died = dying.replaced();
        dying.rig.take();
        // The session is interrupted when the server is killed; the card repeats its latest
        // request.
        let mut ask: (String, Option<Vec<u8>>) = ("/es5".into(), None);
        loop {
            let response = dying.rig.post(&ask.0, ask.1.clone()).await;
            if dying.replaced() {
                died = true;
                continue;
            }
            match response.status().as_u16() {
                200 => {
                    let (next, answer) = run(&mut card, &response);
                    ask = (next, Some(answer));
                }
                204 => break,
                other => panic!("{other}"),
            }
        }
        dying.survives();
        deaths += i32::from(died);
        let told = dying.rig.told().await;
        assert_eq!(told.len(), 2, "died after {lives}: {told:?}");
        assert!(["enable answered 9000", "enable found done"].contains(&told[0].as_str()), "{told:?}");
        assert!(told[1].starts_with("data answered 9000"), "{told:?}");
        assert_eq!(card.isd_ps[&isd_p(0x11)], State::Enabled);
        assert_eq!(dying.rig.waiting().await, 0);
        if !died {
            break;
        }
    }
    assert!(deaths >= 4, "{deaths}: the trigger, each script, each answer");
}

#[tokio::test]
async fn a_notification_is_reported_once_whenever_the_engine_is_killed() {
    for lives in 1.. {
        let (mut dying, mut card) = (Dying::new(), Card::new());
        let packet = card::command([0x06, 0], &card::notification(2, 1, card::EID));
        let message = card::cut(0x70, &packet, 1).remove(0);
        dying.dies_after(lives);
        let arrived = || {
            world::Arrived::Message(world::ShortMessage {
                from: NUMBER.parse().unwrap(),
                to: crate::testbed::SM_SR.parse().unwrap(),
                protocol_identifier: 0,
                data_coding: 0xF6,
                has_header: true,
                user_data: message.clone(),
            })
        };
        let taken = dying.rig.engine.short_message(arrived()).await;
        let died = dying.replaced();
        dying.survives();
        if taken.is_err() {
            dying.rig.take();
            dying.rig.engine.short_message(arrived()).await.unwrap();
        }
        finish(&mut dying, &mut card).await;
        let told = dying.rig.told().await;
        // An engine killed while sending does not know if the message was sent.
        let told: Vec<String> = told.iter().map(|told| told.replace(" again", "")).collect();
        assert_eq!(told, ["notified 1 by Sms", "confirm 1 answered 9000"], "died after {lives}");
        if !died {
            assert!(lives > 2);
            break;
        }
    }
}

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
    testbed::{NUMBER, Testbed, config, data, enable, run},
};

/// Records that fail after a number of commits with changes.
struct Mortal {
    inner: MemoryRecords,
    commits: Arc<AtomicI64>,
}

impl Mortal {
    fn check_alive(&self) -> Result<(), Fault> {
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
            self.check_alive()?;
            self.inner.read(collection, key).await
        })
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        Box::pin(async move {
            self.check_alive()?;
            self.inner.first(collection, prefix, most).await
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move {
            self.check_alive()?;
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
struct KilledTestbed {
    testbed: Testbed,
    records: Arc<Mortal>,
}

impl KilledTestbed {
    fn new() -> Self {
        let commits = Arc::new(AtomicI64::new(IMMORTAL));
        let records = Arc::new(Mortal { inner: MemoryRecords::default(), commits: commits.clone() });
        let testbed = Testbed::over(records.clone(), config());
        *testbed.smsc.commits.lock().unwrap() = Some(commits);
        Self { testbed, records }
    }

    /// Sets the number of commits that are left.
    fn kill_after(&self, commits: i64) {
        self.records.commits.store(commits, Ordering::SeqCst);
    }

    /// Returns true if the engine was killed; then another one, which is not killed, replaces it.
    fn replaced(&mut self) -> bool {
        let is_dead = self.records.commits.load(Ordering::SeqCst) == 0;
        if is_dead {
            self.revive();
            self.testbed.restart();
        }
        is_dead
    }

    fn revive(&self) {
        self.records.commits.store(IMMORTAL, Ordering::SeqCst);
    }
}

/// Runs until everything is answered, replacing a killed engine.
async fn finish(killed: &mut KilledTestbed, card: &mut Card) {
    for _ in 0..8 {
        killed.testbed.pump(card).await;
        killed.testbed.pass(31).await;
    }
}

#[tokio::test]
async fn every_kill_over_short_messages_is_survived() {
    let mut kills = 0;
    for commits in 1.. {
        let (mut killed, mut card) = (KilledTestbed::new(), Card::new());
        killed.testbed.enqueue(enable(0x11)).await;
        killed.kill_after(commits);
        let mut died = false;
        loop {
            let _ = killed.testbed.engine.run_due().await;
            died |= killed.replaced();
            let sent = killed.testbed.take();
            if sent.is_empty() {
                break;
            }
            for says in killed.testbed.give(&mut card, sent) {
                let card::Says::Submit(parts) = says else { panic!() };
                for part in parts {
                    // A message that could not be stored is delivered again.
                    let arrived = || {
                        let from = NUMBER.parse().unwrap();
                        let to = crate::testbed::SM_SR.parse().unwrap();
                        world::IncomingDelivery::Message(world::ShortMessage {
                            from,
                            to,
                            protocol_identifier: 0,
                            data_coding: 0xF6,
                            has_header: true,
                            user_data: part.clone(),
                        })
                    };
                    while killed.testbed.engine.short_message(arrived()).await.is_err() {
                        assert!(killed.replaced());
                        died = true;
                    }
                }
            }
        }
        died |= killed.replaced();
        killed.revive();
        kills += i32::from(died);
        finish(&mut killed, &mut card).await;
        assert_eq!(card.isd_ps[&isd_p(0x11)], State::Enabled, "killed after {commits} commits");
        let told = killed.testbed.told().await;
        assert_eq!(told.len(), 1, "killed after {commits} commits: {told:?}");
        assert!(["enable answered 9000", "enable found done"].contains(&told[0].as_str()), "{told:?}");
        assert_eq!(killed.testbed.waiting().await, 0);
        if !died {
            break;
        }
    }
    assert!(kills >= 3, "{kills}: the counter, the submission, the answer");
}

#[tokio::test]
async fn every_kill_over_https_is_survived() {
    let mut kills = 0;
    for commits in 1.. {
        let (mut killed, mut card) = (KilledTestbed::new(), Card::new());
        killed.testbed.enqueue(Job { via: Some(Bearer::Https), ..enable(0x11) }).await;
        killed.testbed.enqueue(Job { more_to_do: false, ..data(1500, "data") }).await;
        killed.kill_after(commits);
        let _ = killed.testbed.engine.run_due().await;
        let mut died = killed.replaced();
        killed.testbed.take();
        // The session is interrupted when the server is killed; the card repeats its latest
        // request.
        let mut ask: (String, Option<Vec<u8>>) = ("/es5".into(), None);
        loop {
            let response = killed.testbed.post(&ask.0, ask.1.clone()).await;
            if killed.replaced() {
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
        killed.revive();
        kills += i32::from(died);
        let told = killed.testbed.told().await;
        assert_eq!(told.len(), 2, "killed after {commits} commits: {told:?}");
        assert!(["enable answered 9000", "enable found done"].contains(&told[0].as_str()), "{told:?}");
        assert!(told[1].starts_with("data answered 9000"), "{told:?}");
        assert_eq!(card.isd_ps[&isd_p(0x11)], State::Enabled);
        assert_eq!(killed.testbed.waiting().await, 0);
        if !died {
            break;
        }
    }
    assert!(kills >= 4, "{kills}: the trigger, each script, each answer");
}

#[tokio::test]
async fn a_notification_is_reported_once_whenever_the_engine_is_killed() {
    for commits in 1.. {
        let (mut killed, mut card) = (KilledTestbed::new(), Card::new());
        let packet = card::command([0x06, 0], &card::notification(2, 1, card::EID));
        let message = card::cut(0x70, &packet, 1).remove(0);
        killed.kill_after(commits);
        let arrived = || {
            world::IncomingDelivery::Message(world::ShortMessage {
                from: NUMBER.parse().unwrap(),
                to: crate::testbed::SM_SR.parse().unwrap(),
                protocol_identifier: 0,
                data_coding: 0xF6,
                has_header: true,
                user_data: message.clone(),
            })
        };
        let taken = killed.testbed.engine.short_message(arrived()).await;
        let died = killed.replaced();
        killed.revive();
        if taken.is_err() {
            killed.testbed.take();
            killed.testbed.engine.short_message(arrived()).await.unwrap();
        }
        finish(&mut killed, &mut card).await;
        let told = killed.testbed.told().await;
        // An engine killed while sending does not know if the message was sent.
        let told: Vec<String> = told.iter().map(|told| told.replace(" again", "")).collect();
        assert_eq!(told, ["notified 1 by Sms", "confirm 1 answered 9000"], "killed after {commits} commits");
        if !died {
            assert!(commits > 2);
            break;
        }
    }
}

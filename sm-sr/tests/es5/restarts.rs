//! The engine is killed after each of its commits, before anything is sent, and another one
//! continues.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use sm_sr::es5::{Bearer, Job};
use world::{BoxFuture, ChangeSet, Committed, Fault, KeyRange, MemoryRecords, Records, Stored};

use crate::{
    card::{self, Card, State, isd_p},
    testbed::{NUMBER, Testbed, config, data, enable, run},
};

/// Records that fail after a number of commits with changes.
struct KillableRecords {
    inner: MemoryRecords,
    commits: Arc<AtomicI64>,
}

impl KillableRecords {
    fn check_not_killed(&self) -> Result<(), Fault> {
        match self.commits.load(Ordering::SeqCst) {
            0 => Err(Fault::new("cannot use the records", "the process was killed", "start it again")),
            _ => Ok(()),
        }
    }
}

impl Records for KillableRecords {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        Box::pin(async move {
            self.check_not_killed()?;
            self.inner.read(collection, key).await
        })
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        Box::pin(async move {
            self.check_not_killed()?;
            self.inner.first(collection, keys, most).await
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move {
            self.check_not_killed()?;
            let changed = !changes.changes.is_empty();
            let committed = self.inner.commit(changes).await?;
            if changed {
                self.commits.fetch_sub(1, Ordering::SeqCst);
            }
            Ok(committed)
        })
    }
}

const UNLIMITED: i64 = i64::MAX;

/// A testbed whose engine is killed after a number of commits, immediately before it sends
/// anything.
struct KillableTestbed {
    testbed: Testbed,
    records: Arc<KillableRecords>,
}

impl KillableTestbed {
    fn new() -> Self {
        let commits = Arc::new(AtomicI64::new(UNLIMITED));
        let records = Arc::new(KillableRecords { inner: MemoryRecords::default(), commits: commits.clone() });
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
        let is_killed = self.records.commits.load(Ordering::SeqCst) == 0;
        if is_killed {
            self.stop_killing();
            self.testbed.restart();
        }
        is_killed
    }

    fn stop_killing(&self) {
        self.records.commits.store(UNLIMITED, Ordering::SeqCst);
    }
}

/// Runs until everything is answered, replacing a killed engine.
async fn finish(killed: &mut KillableTestbed, card: &mut Card) {
    for _ in 0..8 {
        killed.testbed.exchange_messages(card).await;
        killed.testbed.advance(31).await;
    }
}

#[tokio::test]
async fn a_job_over_short_messages_completes_after_a_kill_at_any_commit() {
    let mut kills = 0;
    for commits in 1.. {
        let (mut killed, mut card) = (KillableTestbed::new(), Card::new());
        killed.testbed.enqueue(enable(0x11)).await;
        killed.kill_after(commits);
        let mut was_killed = false;
        loop {
            let _ = killed.testbed.engine.run_due().await;
            was_killed |= killed.replaced();
            let sent = killed.testbed.take_submitted();
            if sent.is_empty() {
                break;
            }
            for response in killed.testbed.pass_to_card(&mut card, sent) {
                let card::CardResponse::Submit(parts) = response else { panic!() };
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
                        was_killed = true;
                    }
                }
            }
        }
        was_killed |= killed.replaced();
        killed.stop_killing();
        kills += i32::from(was_killed);
        finish(&mut killed, &mut card).await;
        assert_eq!(card.isd_ps[&isd_p(0x11)], State::Enabled, "killed after {commits} commits");
        let reports = killed.testbed.reports().await;
        assert_eq!(reports.len(), 1, "killed after {commits} commits: {reports:?}");
        assert!(["enable answered 9000", "enable found done"].contains(&reports[0].as_str()), "{reports:?}");
        assert_eq!(killed.testbed.waiting().await, 0);
        if !was_killed {
            break;
        }
    }
    assert!(kills >= 3, "{kills}: the counter, the submission, the answer");
}

#[tokio::test]
async fn jobs_over_https_complete_after_a_kill_at_any_commit() {
    let mut kills = 0;
    for commits in 1.. {
        let (mut killed, mut card) = (KillableTestbed::new(), Card::new());
        killed.testbed.enqueue(Job { via: Some(Bearer::Https), ..enable(0x11) }).await;
        killed.testbed.enqueue(Job { more_to_do: false, ..data(1500, "data") }).await;
        killed.kill_after(commits);
        let _ = killed.testbed.engine.run_due().await;
        let mut was_killed = killed.replaced();
        killed.testbed.take_submitted();
        // The session is interrupted when the server is killed; the card repeats its latest
        // request.
        let mut send_request: (String, Option<Vec<u8>>) = ("/es5".into(), None);
        loop {
            let response = killed.testbed.post(&send_request.0, send_request.1.clone()).await;
            if killed.replaced() {
                was_killed = true;
                continue;
            }
            match response.status().as_u16() {
                200 => {
                    let (next, answer) = run(&mut card, &response);
                    send_request = (next, Some(answer));
                }
                204 => break,
                other => panic!("{other}"),
            }
        }
        killed.stop_killing();
        kills += i32::from(was_killed);
        let reports = killed.testbed.reports().await;
        assert_eq!(reports.len(), 2, "killed after {commits} commits: {reports:?}");
        assert!(["enable answered 9000", "enable found done"].contains(&reports[0].as_str()), "{reports:?}");
        assert!(reports[1].starts_with("data answered 9000"), "{reports:?}");
        assert_eq!(card.isd_ps[&isd_p(0x11)], State::Enabled);
        assert_eq!(killed.testbed.waiting().await, 0);
        if !was_killed {
            break;
        }
    }
    assert!(kills >= 4, "{kills}: the trigger, each script, each answer");
}

#[tokio::test]
async fn a_notification_is_reported_once_whenever_the_engine_is_killed() {
    for commits in 1.. {
        let (mut killed, mut card) = (KillableTestbed::new(), Card::new());
        let packet = card::command([0x06, 0], &card::notification(2, 1, card::EID));
        let message = card::segments(0x70, &packet, 1).remove(0);
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
        let was_killed = killed.replaced();
        killed.stop_killing();
        if taken.is_err() {
            killed.testbed.take_submitted();
            killed.testbed.engine.short_message(arrived()).await.unwrap();
        }
        finish(&mut killed, &mut card).await;
        let reports = killed.testbed.reports().await;
        // An engine killed while sending does not know if the message was sent.
        let reports: Vec<String> = reports.iter().map(|reports| reports.replace(" again", "")).collect();
        assert_eq!(
            reports,
            ["notified 1 by Sms", "confirm 1 answered 9000"],
            "killed after {commits} commits"
        );
        if !was_killed {
            assert!(commits > 2);
            break;
        }
    }
}

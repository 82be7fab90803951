//! A card behind the ES5 interface: it takes the next job of its EID and answers it, without a
//! bearer.

use rsp::{
    StatusWord,
    ids::{Aid, Eid},
    ota::script::{Answer, Command, Form, ResponseApdu, ScriptResponse},
    sgp02::{
        Octets,
        notification::{DefaultNotification, NotificationType},
    },
};
use world::Tx;

use super::testbed::{Testbed, eid};
use crate::{
    es5::{Bearer, Effect, JOBS, Job, JobId, JobOutcome},
    records::{CARDS, Card},
};

pub(super) const OK: u16 = 0x9000;

impl Testbed {
    /// Returns the record of the card.
    pub(super) async fn card(&self) -> Card {
        Tx::begin(self.records()).get(&CARDS, &eid().to_string()).await.unwrap().unwrap()
    }

    /// Replaces the record of the card.
    pub(super) async fn replace_card(&self, card: &Card) {
        world::transact(self.records(), |tx| {
            let put = tx.put(&CARDS, &eid().to_string(), card);
            Box::pin(async { put })
        })
        .await
        .unwrap();
    }

    /// Returns the jobs of the card, in order.
    pub(super) async fn jobs(&self) -> Vec<(JobId, Job)> {
        let all = Tx::begin(self.records()).peek_list(&JOBS, &format!("{}/", eid())).await.unwrap();
        all.into_iter().map(|(key, pending)| (key.parse().unwrap(), pending.job)).collect()
    }

    /// Returns the only job of the card.
    pub(super) async fn job(&self) -> Job {
        let jobs = self.jobs().await;
        let [(_, job)] = jobs.as_slice() else {
            panic!("{:?}", jobs.iter().map(|(_, job)| &job.effect).collect::<Vec<_>>())
        };
        job.clone()
    }

    /// Ends the next job with this outcome.
    pub(super) async fn job_ends(&self, outcome: JobOutcome) -> Job {
        let (id, job) = self.jobs().await.into_iter().next().expect("the card has no job");
        let procedures = self.server().procedures();
        world::transact(self.records(), |tx| {
            let (procedures, id, job, outcome) = (&procedures, &id, &job, outcome.clone());
            let now = self.now();
            Box::pin(async move {
                tx.delete(&JOBS, &id.to_string());
                procedures.job_ended(tx, now, id, job, outcome).await
            })
        })
        .await
        .unwrap();
        self.run().await;
        job
    }

    /// Answers every command of the next job.
    pub(super) async fn card_answers(&self, answers: &[(&[u8], u16)]) -> Job {
        self.job_ends(JobOutcome::Answered(response(answers))).await
    }

    /// Executes the next job successfully, without response data.
    pub(super) async fn card_executes(&self) -> Job {
        self.card_answers(&[(&[], OK)]).await
    }

    /// Sends a notification from the card.
    pub(super) async fn card_notifies(&self, sequence: u16, kind: NotificationType, enabled: &Aid) {
        self.card_notifies_about(eid(), sequence, kind, enabled).await;
    }

    async fn card_notifies_about(&self, eid: Eid, sequence: u16, kind: NotificationType, enabled: &Aid) {
        let notification = DefaultNotification {
            eid,
            kind,
            sequence_number: sequence,
            isd_p: enabled.clone(),
            imei: Some(Octets(vec![0x35; 8])),
            meid: None,
        };
        let procedures = self.server().procedures();
        world::transact(self.records(), |tx| {
            let (procedures, notification, now) = (&procedures, notification.clone(), self.now());
            Box::pin(async move { procedures.notified(tx, now, eid, notification, Bearer::Sms).await })
        })
        .await
        .unwrap();
        self.run().await;
    }

    /// Accepts the confirmation of a notification. The card reports these ISD-Ps as deleted by
    /// POL1.
    pub(super) async fn card_accepts_confirmation(&self, sequence: u16, deleted: &[Aid]) {
        let mut list = Vec::new();
        for aid in deleted {
            list.extend(rsp::der::tlv_bytes(rsp::der::Tag(0x4F), &aid.0));
        }
        let data =
            if deleted.is_empty() { Vec::new() } else { rsp::der::tlv_bytes(rsp::der::Tag(0x80), &list) };
        let job = self.card_answers(&[(&data, OK)]).await;
        assert_eq!(job.effect, Effect::ConfirmNotification(sequence));
        assert!(job.urgent && job.via == Some(Bearer::Sms));
    }
}

pub(super) fn response(answers: &[(&[u8], u16)]) -> ScriptResponse {
    let answer = |(data, status_word): &(&[u8], u16)| {
        Answer::Apdu(ResponseApdu { data: data.to_vec(), status: StatusWord(*status_word) })
    };
    ScriptResponse::of(Form::Definite, answers.iter().map(answer).collect())
}

/// Returns the C-APDUs of a job in hexadecimal.
pub(super) fn apdus(job: &Job) -> Vec<String> {
    let apdu = |command: &Command| match command {
        Command::Apdu(apdu) => hex::encode_upper(apdu),
        other => format!("{other:?}"),
    };
    job.script.commands.iter().map(apdu).collect()
}

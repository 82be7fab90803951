//! Which bearer, which security, how often: every choice that SGP.02 leaves to the SM-SR, and every number.

use std::time::Duration;

use rsp::{
    ids::Aid,
    ota::{
        secured_packet::{PorBearer, Spi},
        trigger::SessionTrigger,
    },
};
use world::PhoneNumber;

use super::{Bearer, CardAccess, Effect, Job};

/// How an SM-SR reaches its cards.
#[derive(Clone, Debug)]
pub struct Es5Config {
    /// The number of the SM-SR: its short messages come from it, and the cards' go to it.
    pub address: PhoneNumber,
    /// The door at which cards open sessions, if there is one.
    pub https: Option<HttpsDoor>,
    /// How cards are to answer; as the table has it if none.
    pub por_bearer: Option<PorBearer>,
    /// How long the answer to a short message is waited for at first; each repetition waits twice as long.
    pub answer_within: Duration,
    /// How long a triggered card has to open its session at first.
    pub session_within: Duration,
    /// How long a card has to run what it was given in a session.
    pub script_within: Duration,
    /// The longest of these waits.
    pub slowest: Duration,
    /// How long at first until that is tried again which no message centre took; longer from time to time, up to the wait
    /// for an answer. It does not count as sent.
    pub unbound: Duration,
    /// How often something is sent. Then it waits until the card is heard of, or its validity ends it.
    pub tries: u32,
    /// How long a session is kept open for a script that was announced.
    pub hold: Duration,
    /// Up to that many short messages a script goes by them although HTTPS could be had.
    pub few_messages: usize,
    /// Up to that many it goes by them if nothing else can be had.
    pub most_messages: usize,
}

/// Where cards open their sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsDoor {
    /// What stands in the trigger. The card uses what it has stored for everything that does not.
    pub trigger: SessionTrigger,
    /// The path of the scripts to come: `/es5` makes `/es5/next/..`.
    pub path: String,
}

impl Es5Config {
    /// The numbers of a live system; the SM-SR is at `address`.
    pub fn at(address: PhoneNumber) -> Self {
        Self {
            address,
            https: None,
            por_bearer: None,
            answer_within: Duration::from_secs(30),
            session_within: Duration::from_secs(60),
            script_within: Duration::from_secs(120),
            slowest: Duration::from_secs(15 * 60),
            unbound: Duration::from_secs(5),
            tries: 6,
            hold: Duration::from_secs(20),
            few_messages: 3,
            most_messages: 32,
        }
    }

    /// How long is waited after that many tries.
    pub(super) fn wait(&self, first: Duration, tries: u32) -> Duration {
        first.saturating_mul(2u32.saturating_pow(tries.saturating_sub(1))).min(self.slowest)
    }
}

/// How a command is repeated that the card has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repetition {
    /// With a new counter: the card runs it again, and says if there is nothing left to do.
    Anew,
    /// The same packet: the card runs it once at most. For what cannot be run twice.
    Same,
}

/// What holds for a kind of script.
pub(super) struct Row {
    pub(super) spi: Spi,
    pub(super) repetition: Repetition,
}

/// The table. SPI 16 39 for everything that is answered has one source, which sends it for enabling and deletion; that
/// nothing of it is less than CC, ciphered, with a counter is SGP.02's (section 2.4.3).
pub(super) const fn row(effect: &Effect) -> Row {
    let repetition = match effect {
        // A challenge is asked and answered once; a segment of SCP03t is counted; who has the emergency profile attribute
        // cannot be seen, so its repetition could not be told from the first time.
        Effect::KeySet | Effect::Data | Effect::SetEmergency(_) => Repetition::Same,
        Effect::CreateIsdP(_)
        | Effect::Enable(_)
        | Effect::Disable(_)
        | Effect::Delete(_)
        | Effect::SetFallBack(_)
        | Effect::ConfirmNotification(_)
        | Effect::Audit
        | Effect::Addressing => Repetition::Anew,
    };
    Row { spi: Spi::COMMAND_ANSWERED_BY_SUBMIT, repetition }
}

/// A trigger is answered by the session that the card opens.
pub(super) const TRIGGER: Spi = Spi::UNANSWERED;

/// What a card says to the repetition of something that it has done: conditions of use not satisfied, referenced data not
/// found, wrong data. Which of them depends on the card.
pub(super) const SAID_BY_THE_DONE: [u16; 3] = [0x6985, 0x6A88, 0x6A80];

/// How far the counter jumps ahead when a card says that it is too low: more than anybody sends by hand.
pub(super) const COUNTER_JUMP: u64 = 0x100;

/// What the effect can be seen by: the state of one ISD-P.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Exists,
    IsGone,
    Enabled,
    Disabled,
    FallBack,
}

impl Effect {
    /// The ISD-P to be looked at, and what it shows when the script was run; `None` for what leaves no trace, or can be
    /// repeated without being told from the first time.
    pub(super) const fn sign(&self) -> Option<(&Aid, Sign)> {
        match self {
            Self::CreateIsdP(aid) => Some((aid, Sign::Exists)),
            Self::Enable(aid) => Some((aid, Sign::Enabled)),
            Self::Disable(aid) => Some((aid, Sign::Disabled)),
            Self::Delete(aid) => Some((aid, Sign::IsGone)),
            Self::SetFallBack(aid) => Some((aid, Sign::FallBack)),
            Self::SetEmergency(_)
            | Self::ConfirmNotification(_)
            | Self::Audit
            | Self::KeySet
            | Self::Addressing
            | Self::Data => None,
        }
    }

    /// Whether the answer names what the card has done besides, which it does not do twice.
    pub(super) const fn is_confirmation(&self) -> bool {
        matches!(self, Self::ConfirmNotification(_))
    }
}

/// The bearer for a job that takes this many short messages.
///
/// | | HTTPS can be had | it cannot |
/// |---|---|---|
/// | more follows | HTTPS | SMS |
/// | few messages | SMS | SMS |
/// | many messages | HTTPS | SMS |
/// | too many messages | HTTPS | nothing |
pub(super) fn bearer(
    config: &Es5Config,
    card: &CardAccess,
    job: &Job,
    messages: usize,
) -> Result<Bearer, String> {
    let https = if config.https.is_none() {
        Err("this SM-SR has no HTTPS door")
    } else if !card.https {
        Err("the card is not capable of HTTPS")
    } else if card.scp81.is_empty() {
        Err("the card has no SCP81 key")
    } else {
        Ok(())
    };
    let short = messages <= config.few_messages && !job.more_to_do;
    match (job.via, https) {
        (Some(Bearer::Https), Err(why)) => Err(why.to_owned()),
        (Some(Bearer::Https), Ok(())) => Ok(Bearer::Https),
        (None, Ok(())) if !short => Ok(Bearer::Https),
        _ if messages <= config.most_messages => Ok(Bearer::Sms),
        (Some(Bearer::Sms), _) => Err(format!("it takes {messages} short messages")),
        (None, Ok(())) => Ok(Bearer::Https),
        (None, Err(why)) => Err(format!("it takes {messages} short messages, and {why}")),
    }
}

#[cfg(test)]
mod tests {
    use rsp::{ids::Eid, ota::script::Script, time::Timestamp};

    use super::*;
    use crate::es5::PskKey;

    fn card(https: bool, key: bool) -> CardAccess {
        let key = key.then(|| PskKey { kvn: 0x40, key_id: 1, key: vec![0; 16].into() });
        CardAccess { address: None, scp80: Vec::new(), scp81: key.into_iter().collect(), https }
    }

    fn job(more_to_do: bool, via: Option<Bearer>) -> Job {
        Job {
            eid: Eid([0; 16]),
            target: Aid::isd_p(0x10),
            script: Script::of_apdus([]),
            valid_until: Timestamp(0),
            more_to_do,
            urgent: false,
            via,
            effect: Effect::Data,
            purpose: String::new(),
        }
    }

    #[test]
    fn the_bearer_is_as_the_table_says() {
        let config = Es5Config {
            https: Some(HttpsDoor { trigger: SessionTrigger::default(), path: String::new() }),
            ..Es5Config::at("1000".parse().unwrap())
        };
        let (few, many, too_many) = (config.few_messages, config.few_messages + 1, config.most_messages + 1);
        let both = card(true, true);
        let by = |card: &CardAccess, job: &Job, messages| bearer(&config, card, job, messages);
        let plain = job(false, None);
        assert_eq!(by(&both, &plain, few), Ok(Bearer::Sms));
        assert_eq!(by(&both, &plain, many), Ok(Bearer::Https));
        assert_eq!(by(&both, &plain, too_many), Ok(Bearer::Https));
        assert_eq!(by(&both, &job(true, None), 1), Ok(Bearer::Https));
        assert_eq!(by(&both, &job(true, Some(Bearer::Sms)), many), Ok(Bearer::Sms));
        assert_eq!(by(&both, &job(false, Some(Bearer::Https)), 1), Ok(Bearer::Https));
        assert!(by(&both, &job(false, Some(Bearer::Sms)), too_many).is_err());
        for without in [card(false, true), card(true, false)] {
            assert_eq!(by(&without, &job(true, None), many), Ok(Bearer::Sms));
            assert!(by(&without, &plain, too_many).unwrap_err().contains("33 short messages"));
            assert!(by(&without, &job(false, Some(Bearer::Https)), 1).is_err());
        }
        let no_door = Es5Config { https: None, ..config };
        assert_eq!(bearer(&no_door, &both, &plain, many), Ok(Bearer::Sms));
    }

    #[test]
    fn waits_double_up_to_the_slowest() {
        let config = Es5Config::at("1000".parse().unwrap());
        let waits = [1, 2, 3, 30].map(|tries| config.wait(config.answer_within, tries).as_secs());
        assert_eq!(waits, [30, 60, 120, 900]);
    }
}

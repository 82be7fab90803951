//! Choice of bearer, security and repetition: all decisions that SGP.02 leaves to the SM-SR, and
//! all limits and times.

use std::time::Duration;

use rsp::{
    StatusWord,
    ids::Aid,
    ota::{
        secured_packet::{PorBearer, Spi},
        trigger::SessionTrigger,
    },
};
use world::PhoneNumber;

use super::{Bearer, CardAccess, Effect, Job};
use crate::config::RESERVATION_TIME;

/// Configuration of the access to cards.
#[derive(Clone, Debug)]
pub struct Es5Config {
    /// Number of the SM-SR: the source and destination of short messages.
    pub address: PhoneNumber,
    /// HTTPS endpoint for cards, if there is one.
    pub https: Option<HttpsEndpoint>,
    /// Bearer of responses; `None` if the table of effects determines it.
    pub por_bearer: Option<PorBearer>,
    /// Time to wait for the response to the first short message. Each repetition doubles it.
    pub answer_within: Duration,
    /// Time to wait for the session of a card after the first trigger. Each repetition doubles it.
    pub session_within: Duration,
    /// Time for a card to execute a script in a session.
    pub script_within: Duration,
    /// Limit for the waiting times that repetitions double.
    pub slowest: Duration,
    /// First delay before a message that no SMSC accepted is submitted again. The delay grows up to
    /// the time to wait for a response. Such a message does not count as a transmission.
    pub unbound: Duration,
    /// Maximum number of transmissions. After that the job waits for a message of the card or the
    /// end of its validity.
    pub tries: u32,
    /// Time for which a session is kept open for an announced script.
    pub hold: Duration,
    /// Time for which an urgent job for a security domain waits for the next script of a chain
    /// there.
    pub chain: Duration,
    /// Maximum number of short messages for a script that is sent by SMS although HTTPS is
    /// available.
    pub preferred_sms_limit: usize,
    /// Maximum number of short messages for a script if only SMS is available.
    pub most_messages: usize,
}

/// HTTPS endpoint for cards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsEndpoint {
    /// Parameters in the trigger. The card uses its stored value for each absent parameter.
    pub trigger: SessionTrigger,
    /// Path prefix of requests for scripts: `/es5` makes `/es5/next/..`.
    pub path: String,
}

impl Es5Config {
    /// Returns the configuration of a live system for an SM-SR with this number.
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
            chain: RESERVATION_TIME,
            preferred_sms_limit: 3,
            most_messages: 32,
        }
    }

    /// Returns the waiting time after this many transmissions.
    pub(super) fn wait(&self, first: Duration, tries: u32) -> Duration {
        first.saturating_mul(2u32.saturating_pow(tries.saturating_sub(1))).min(self.slowest)
    }
}

/// Repetition of a command that the card has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repetition {
    /// With a new counter: the card executes it again, and reports an error if there is nothing
    /// left to do.
    Anew,
    /// As the same packet: the card executes it at most once. For commands that cannot be executed
    /// twice.
    Same,
}

/// Security and repetition of a kind of script.
pub(super) struct Row {
    pub(super) spi: Spi,
    pub(super) repetition: Repetition,
}

/// Returns the row of the table for an effect. All answered commands have SPI 16 39. The value is
/// from a single source, which uses it for enabling and deletion. SGP.02 section 2.4.3 requires at
/// least a cryptographic checksum, ciphering and a counter.
pub(super) const fn row(effect: &Effect) -> Row {
    let repetition = match effect {
        // A challenge can be used only once, and a segment of SCP03t is counted. The holder of the
        // emergency profile attribute cannot be queried, so the effects of a first and of a
        // repeated execution could not be distinguished.
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

/// Status words with which cards answer the repetition of an executed command. The status word
/// depends on the card.
pub(super) const ALREADY_DONE: [StatusWord; 3] =
    [StatusWord::CONDITIONS_NOT_SATISFIED, StatusWord::REFERENCED_DATA_NOT_FOUND, StatusWord::INCORRECT_DATA];

/// Increment of the counter when a card reports that the counter is too low. It exceeds the number
/// of packets that another tool may have sent.
pub(super) const COUNTER_JUMP: u64 = 0x100;

/// Visible effect of a command: the state of one ISD-P.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VisibleEffect {
    Exists,
    IsGone,
    Enabled,
    Disabled,
    FallBack,
}

impl Effect {
    /// Returns the ISD-P and its state after the command was executed; `None` for a command without
    /// a visible effect, or one that can be repeated without harm.
    pub(super) const fn visible_effect(&self) -> Option<(&Aid, VisibleEffect)> {
        match self {
            Self::CreateIsdP(aid) => Some((aid, VisibleEffect::Exists)),
            Self::Enable(aid) => Some((aid, VisibleEffect::Enabled)),
            Self::Disable(aid) => Some((aid, VisibleEffect::Disabled)),
            Self::Delete(aid) => Some((aid, VisibleEffect::IsGone)),
            Self::SetFallBack(aid) => Some((aid, VisibleEffect::FallBack)),
            Self::SetEmergency(_)
            | Self::ConfirmNotification(_)
            | Self::Audit
            | Self::KeySet
            | Self::Addressing
            | Self::Data => None,
        }
    }

    /// Returns true if the response reports further effects, which the card does not report twice.
    pub(super) const fn is_confirmation(&self) -> bool {
        matches!(self, Self::ConfirmNotification(_))
    }
}

/// Returns the bearer for a job that needs this many short messages.
///
/// | | HTTPS available | not available |
/// |---|---|---|
/// | more follows | HTTPS | SMS |
/// | few messages | SMS | SMS |
/// | many messages | HTTPS | SMS |
/// | too many messages | HTTPS | none |
pub(super) fn bearer(
    config: &Es5Config,
    card: &CardAccess,
    job: &Job,
    messages: usize,
) -> Result<Bearer, String> {
    let https = if config.https.is_none() {
        Err("this SM-SR has no HTTPS endpoint")
    } else if !card.https {
        Err("the card does not support HTTPS")
    } else if card.scp81.is_empty() {
        Err("the card has no SCP81 key")
    } else {
        Ok(())
    };
    let short = messages <= config.preferred_sms_limit && !job.more_to_do;
    match (job.via, https) {
        (Some(Bearer::Https), Err(why)) => Err(why.to_owned()),
        (Some(Bearer::Https), Ok(())) => Ok(Bearer::Https),
        (None, Ok(())) if !short => Ok(Bearer::Https),
        _ if messages <= config.most_messages => Ok(Bearer::Sms),
        (Some(Bearer::Sms), _) => Err(format!("the script needs {messages} short messages")),
        (None, Ok(())) => Ok(Bearer::Https),
        (None, Err(why)) => Err(format!("the script needs {messages} short messages, and {why}")),
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
    fn the_bearer_follows_the_table() {
        let config = Es5Config {
            https: Some(HttpsEndpoint { trigger: SessionTrigger::default(), path: String::new() }),
            ..Es5Config::at("1000".parse().unwrap())
        };
        let (few, many, too_many) =
            (config.preferred_sms_limit, config.preferred_sms_limit + 1, config.most_messages + 1);
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
        let no_https = Es5Config { https: None, ..config };
        assert_eq!(bearer(&no_https, &both, &plain, many), Ok(Bearer::Sms));
    }

    #[test]
    fn waits_double_up_to_the_maximum() {
        let config = Es5Config::at("1000".parse().unwrap());
        let waits = [1, 2, 3, 30].map(|tries| config.wait(config.answer_within, tries).as_secs());
        assert_eq!(waits, [30, 60, 120, 900]);
    }
}

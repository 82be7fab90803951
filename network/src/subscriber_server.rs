//! The home subscriber server: generates authentication vectors, 3GPP TS 33.102 sections 6.3.2 and
//! 6.3.5, annex C.1.
//!
//! A sequence number is stored before the vector that uses it is returned, so that a restart never
//! uses one twice.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU8;
use std::sync::{Mutex, PoisonError};

use crypto::aka::{Algorithm, Amf, Auts, Sqn, Vector};
use crypto::milenage::Milenage;
use crypto::tuak::{ResLength, Tuak, TuakKey};
use crypto::usim_test::UsimTest;
use rsp::ids::{Imsi, Plmn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{Batch, Content, Fault, Memory, PhoneNumber, World};

use super::causes::EmmCause;
use super::messages::hex_octets;

/// AMF with the separation bit that E-UTRAN requires: TS 33.401 section 6.1.1.
const SEPARATION_BIT: [u8; 2] = [0x80, 0x00];

/// The subscribers of one home network.
pub struct SubscriberServer {
    plmn: Plmn,
    world: World,
    state: Mutex<State>,
}

struct State {
    subscribers: BTreeMap<Imsi, Subscriber>,
    memory: Box<dyn Memory>,
}

/// A subscriber record of the home network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// Algorithm and keys, identical to those on the card.
    pub keys: Keys,
    /// SEQ of the last vector. IND is derived from it.
    #[serde(default)]
    pub last_seq: u64,
    /// The cause with which this subscriber is refused everywhere, if barred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barred: Option<EmmCause>,
    /// True if the subscriber can roam.
    #[serde(default = "yes")]
    pub may_roam: bool,
    /// The MSISDN. Short messages are addressed to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msisdn: Option<PhoneNumber>,
}

/// Algorithm and keys of a subscriber. `Debug` does not show the keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Keys {
    /// Milenage, TS 35.206.
    Milenage {
        /// K, hexadecimal.
        #[serde(with = "hex_octets")]
        #[schemars(with = "String")]
        k: [u8; 16],
        /// OPc, hexadecimal.
        #[serde(with = "hex_octets")]
        #[schemars(with = "String")]
        opc: [u8; 16],
    },
    /// TUAK, TS 35.231.
    Tuak {
        /// K, 16 or 32 octets, hexadecimal.
        #[serde(with = "hex_octets")]
        #[schemars(with = "String")]
        k: Vec<u8>,
        /// TOPc, hexadecimal.
        #[serde(with = "hex_octets")]
        #[schemars(with = "String")]
        topc: [u8; 32],
        /// Length of RES in octets: 4, 8 or 16.
        res_length: u8,
        /// Number of iterations of the permutation.
        iterations: NonZeroU8,
    },
    /// The algorithm of TS 34.108 section 8.1.2, for test cards.
    UsimTest {
        /// K, hexadecimal.
        #[serde(with = "hex_octets")]
        #[schemars(with = "String")]
        k: [u8; 16],
        /// Length of RES in octets: 4 to 16.
        res_length: u8,
    },
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Milenage { .. } => "Milenage(..)",
            Self::Tuak { .. } => "Tuak(..)",
            Self::UsimTest { .. } => "UsimTest(..)",
        })
    }
}

impl Keys {
    /// Returns the name of the algorithm: `milenage`, `tuak` or `usim_test`.
    pub fn algorithm_name(&self) -> &'static str {
        match self {
            Self::Milenage { .. } => "milenage",
            Self::Tuak { .. } => "tuak",
            Self::UsimTest { .. } => "usim_test",
        }
    }

    /// True if the algorithm supports a key and a RES of these lengths.
    pub fn are_valid(&self) -> bool {
        self.algorithm().is_ok()
    }

    fn algorithm(&self) -> Result<Algorithm, EmmCause> {
        match self {
            Self::Milenage { k, opc } => Ok(Algorithm::Milenage(Milenage::new(*k, *opc))),
            Self::Tuak { k, topc, res_length, iterations } => {
                let k = TuakKey::from_bytes(k).ok_or(EmmCause::NETWORK_FAILURE)?;
                let res_length = ResLength::from_octets(*res_length).ok_or(EmmCause::NETWORK_FAILURE)?;
                let tuak = Tuak::new(k, *topc).with_res_length(res_length).with_iterations(*iterations);
                Ok(Algorithm::Tuak(tuak))
            }
            Self::UsimTest { k, res_length } => {
                let algorithm = UsimTest::new(*k).with_res_length(*res_length);
                algorithm.map(Algorithm::UsimTest).map_err(|_| EmmCause::NETWORK_FAILURE)
            }
        }
    }
}

impl Subscriber {
    /// Creates a subscriber with these keys and SEQ 0 who can roam and is not barred.
    pub fn new(keys: Keys) -> Self {
        Self { keys, last_seq: 0, barred: None, may_roam: true, msisdn: None }
    }

    /// Sets the MSISDN.
    #[must_use]
    pub fn with_msisdn(mut self, msisdn: PhoneNumber) -> Self {
        self.msisdn = Some(msisdn);
        self
    }

    /// Returns the next sequence number: SEQ is incremented, and IND takes the next value of its
    /// cycle.
    fn next_sqn(&mut self) -> Result<Sqn, EmmCause> {
        self.last_seq = self.last_seq.saturating_add(1);
        let places = u64::from(Sqn::MAX.ind()) + 1;
        let ind = u8::try_from(self.last_seq % places).unwrap_or_default();
        Sqn::from_seq_ind(self.last_seq, ind).ok_or(EmmCause::NETWORK_FAILURE)
    }
}

impl SubscriberServer {
    /// Opens the server with the subscribers of `plmn` that `memory` holds. An empty memory has no
    /// subscribers.
    ///
    /// # Errors
    /// The memory cannot be read, or contains something other than subscribers.
    pub fn open(plmn: Plmn, memory: impl Memory + 'static, world: World) -> Result<Self, Fault> {
        let bad = |why: String| {
            let what = format!("cannot use the subscribers of {plmn}");
            Fault::new(what, why, "restore the file from a copy, or remove it to begin with no subscribers")
        };
        let mut subscribers = BTreeMap::new();
        for (imsi, cell) in memory.load()? {
            let number = imsi.parse().map_err(|_| bad(format!("the key {imsi} is not an IMSI")))?;
            let subscriber: Subscriber =
                cell.from_json().map_err(|why| bad(format!("subscriber {imsi} cannot be read: {why}")))?;
            subscribers.insert(number, subscriber);
        }
        Ok(Self { plmn, world, state: Mutex::new(State { subscribers, memory: Box::new(memory) }) })
    }

    /// Returns the home network of the subscribers.
    pub fn plmn(&self) -> Plmn {
        self.plmn
    }

    /// Adds a subscriber, or replaces one. The sequence number of an existing subscriber never
    /// decreases.
    ///
    /// # Errors
    /// The change cannot be stored. Nothing has changed.
    pub fn provision(&self, imsi: Imsi, mut subscriber: Subscriber) -> Result<(), Fault> {
        self.change(imsi, |place| {
            if let Some(known) = place {
                subscriber.last_seq = subscriber.last_seq.max(known.last_seq);
                // The known MSISDN is kept if the request has none, so that a caller that replaces
                // the keys need not know it.
                subscriber.msisdn = subscriber.msisdn.or(known.msisdn.take());
            }
            *place = Some(subscriber);
        })
    }

    /// Removes a subscriber. Returns false if there was none.
    ///
    /// # Errors
    /// The change cannot be stored. Nothing has changed.
    pub fn remove(&self, imsi: Imsi) -> Result<bool, Fault> {
        self.change(imsi, |place| place.take().is_some())
    }

    /// Returns the IMSIs of all subscribers.
    pub fn imsis(&self) -> Vec<Imsi> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.subscribers.keys().copied().collect()
    }

    /// Returns the subscriber, if it is one of this network.
    pub fn subscriber(&self, imsi: Imsi) -> Option<Subscriber> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).subscribers.get(&imsi).cloned()
    }

    /// Returns the subscriber with this MSISDN, or with this number as IMSI.
    pub fn by_number(&self, number: &PhoneNumber) -> Option<Imsi> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_its = |(imsi, subscriber): &(&Imsi, &Subscriber)| {
            subscriber.msisdn.as_ref().is_some_and(|msisdn| msisdn.is_same(number))
                || imsi.to_string() == number.digits()
        };
        state.subscribers.iter().find(is_its).map(|(imsi, _)| *imsi)
    }

    /// Generates a fresh authentication vector for a subscriber in the network `serving`.
    ///
    /// # Errors
    /// The subscriber is unknown, barred, or may not roam; or the sequence number cannot be stored.
    pub fn authentication_vector(&self, imsi: Imsi, serving: Plmn) -> Result<Vector, EmmCause> {
        let (algorithm, sqn) = self
            .change(imsi, |place| {
                let subscriber = place.as_mut().ok_or(EmmCause::IMSI_UNKNOWN_IN_HSS)?;
                if let Some(cause) = subscriber.barred {
                    return Err(cause);
                }
                if serving != self.plmn && !subscriber.may_roam {
                    return Err(EmmCause::PLMN_NOT_ALLOWED);
                }
                Ok((subscriber.keys.algorithm()?, subscriber.next_sqn()?))
            })
            .map_err(|fault| network_failure(&fault))??;
        Ok(algorithm.vector(self.world.random(), sqn, Amf::from_bytes(SEPARATION_BIT)))
    }

    /// Sets the sequence number reported by the card (section 6.3.5). The next vector
    /// follows it.
    ///
    /// # Errors
    /// AUTS was not made with this subscriber's keys, or the sequence number cannot be stored.
    pub fn resynchronise(&self, imsi: Imsi, rand: &[u8; 16], auts: [u8; 14]) -> Result<(), EmmCause> {
        self.change(imsi, |place| {
            let subscriber = place.as_mut().ok_or(EmmCause::IMSI_UNKNOWN_IN_HSS)?;
            let sqn_ms = subscriber
                .keys
                .algorithm()?
                .parse_auts(rand, &Auts::from_bytes(auts))
                .map_err(|_| EmmCause::ILLEGAL_UE)?;
            subscriber.last_seq = sqn_ms.seq();
            Ok(())
        })
        .map_err(|fault| network_failure(&fault))?
    }

    /// Changes one subscriber. The change is stored in the subscriber's own cell before it takes
    /// effect.
    fn change<T>(&self, imsi: Imsi, change: impl FnOnce(&mut Option<Subscriber>) -> T) -> Result<T, Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut subscriber = state.subscribers.get(&imsi).cloned();
        let result = change(&mut subscriber);
        if subscriber.as_ref() != state.subscribers.get(&imsi) {
            let mut batch = Batch::default();
            match &subscriber {
                Some(subscriber) => batch.put(imsi.to_string(), Content::json(subscriber)?),
                None => batch.remove(imsi.to_string()),
            }
            state.memory.commit(batch)?;
            match subscriber {
                Some(subscriber) => drop(state.subscribers.insert(imsi, subscriber)),
                None => drop(state.subscribers.remove(&imsi)),
            }
        }
        Ok(result)
    }
}

fn network_failure(fault: &Fault) -> EmmCause {
    tracing::warn!(%fault, "the subscriber server could not store a change");
    EmmCause::NETWORK_FAILURE
}

fn yes() -> bool {
    true
}

impl fmt::Debug for SubscriberServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubscriberServer({})", self.plmn)
    }
}

//! The home subscriber server: authentication vectors, 3GPP TS 33.102 sections 6.3.2 and 6.3.5, annex C.1.
//!
//! A sequence number is written down before the vector that uses it leaves, so that no restart gives one out twice.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU8;
use std::sync::{Mutex, PoisonError};

use crypto::aka::{Algorithm, Amf, Auts, Sqn, Vector};
use crypto::milenage::Milenage;
use crypto::tuak::{ResLength, Tuak, TuakKey};
use crypto::usim_test::UsimTest;
use rsp::ids::{Imsi, Plmn};
use serde::{Deserialize, Serialize};
use world::{Batch, Content, Fault, Memory, PhoneNumber, World};

use super::messages::{EmmCause, hex_octets};

/// AMF with the separation bit, as E-UTRAN has it: TS 33.401 section 6.1.1.
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

/// A subscriber, as the home network knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// Algorithm and keys, the same as on the card.
    pub keys: Keys,
    /// SEQ of the last vector; IND follows from it.
    #[serde(default)]
    pub last_seq: u64,
    /// Why this subscriber is not served anywhere, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barred: Option<EmmCause>,
    /// Whether the home network lets the subscriber roam.
    #[serde(default = "yes")]
    pub may_roam: bool,
    /// The telephone number, by which short messages find the subscriber.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub msisdn: Option<PhoneNumber>,
}

/// Algorithm and keys of a subscriber. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// TS 35.206.
    Milenage {
        /// K.
        #[serde(with = "hex_octets")]
        k: [u8; 16],
        /// OPc.
        #[serde(with = "hex_octets")]
        opc: [u8; 16],
    },
    /// TS 35.231.
    Tuak {
        /// K, 16 or 32 octets.
        #[serde(with = "hex_octets")]
        k: Vec<u8>,
        /// TOPc.
        #[serde(with = "hex_octets")]
        topc: [u8; 32],
        /// Octets of RES: 4, 8 or 16.
        res_length: u8,
        /// How often the permutation is applied.
        iterations: NonZeroU8,
    },
    /// TS 34.108 section 8.1.2, for test cards.
    UsimTest {
        /// K.
        #[serde(with = "hex_octets")]
        k: [u8; 16],
        /// Octets of RES, 4 to 16.
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
    /// A subscriber with these keys that has never been seen, may roam and is not barred.
    pub fn new(keys: Keys) -> Self {
        Self { keys, last_seq: 0, barred: None, may_roam: true, msisdn: None }
    }

    /// The same with this telephone number.
    #[must_use]
    pub fn with_msisdn(mut self, msisdn: PhoneNumber) -> Self {
        self.msisdn = Some(msisdn);
        self
    }

    /// The sequence number after the last: SEQ one higher, IND one further round.
    fn next_sqn(&mut self) -> Result<Sqn, EmmCause> {
        self.last_seq = self.last_seq.saturating_add(1);
        let places = u64::from(Sqn::MAX.ind()) + 1;
        let ind = u8::try_from(self.last_seq % places).unwrap_or_default();
        Sqn::from_seq_ind(self.last_seq, ind).ok_or(EmmCause::NETWORK_FAILURE)
    }
}

impl SubscriberServer {
    /// The subscribers of `plmn` that `memory` holds; none if it is empty.
    ///
    /// # Errors
    /// The memory cannot be read or does not hold subscribers.
    pub fn open(plmn: Plmn, memory: impl Memory + 'static, world: World) -> Result<Self, Fault> {
        let bad = |why: String| {
            let what = format!("cannot use the subscribers of {plmn}");
            Fault::new(what, why, "restore the file from a copy, or remove it to begin with no subscribers")
        };
        let mut subscribers = BTreeMap::new();
        for (imsi, cell) in memory.load()? {
            let number = imsi.parse().map_err(|_| bad(format!("its cell {imsi} is no subscriber's")))?;
            let subscriber: Subscriber =
                cell.from_json().map_err(|why| bad(format!("subscriber {imsi} cannot be read: {why}")))?;
            subscribers.insert(number, subscriber);
        }
        Ok(Self { plmn, world, state: Mutex::new(State { subscribers, memory: Box::new(memory) }) })
    }

    /// Whose subscribers.
    pub fn plmn(&self) -> Plmn {
        self.plmn
    }

    /// Adds a subscriber, or gives one other keys. The sequence number of a known subscriber does not go back.
    ///
    /// # Errors
    /// The change cannot be written down; nothing has changed.
    pub fn provision(&self, imsi: Imsi, mut subscriber: Subscriber) -> Result<(), Fault> {
        self.change(imsi, |place| {
            if let Some(known) = place {
                subscriber.last_seq = subscriber.last_seq.max(known.last_seq);
                // Whoever brings other keys need not know the number.
                subscriber.msisdn = subscriber.msisdn.or(known.msisdn.take());
            }
            *place = Some(subscriber);
        })
    }

    /// Removes a subscriber; says whether there was one.
    ///
    /// # Errors
    /// The change cannot be written down; nothing has changed.
    pub fn remove(&self, imsi: Imsi) -> Result<bool, Fault> {
        self.change(imsi, |place| place.take().is_some())
    }

    /// The subscriber, if it is one of this network.
    pub fn subscriber(&self, imsi: Imsi) -> Option<Subscriber> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).subscribers.get(&imsi).cloned()
    }

    /// The subscriber with this telephone number, or with this IMSI for a number.
    pub fn by_number(&self, number: &PhoneNumber) -> Option<Imsi> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_its = |(imsi, subscriber): &(&Imsi, &Subscriber)| {
            subscriber.msisdn.as_ref().is_some_and(|msisdn| msisdn.is_same(number))
                || imsi.to_string() == number.digits()
        };
        state.subscribers.iter().find(is_its).map(|(imsi, _)| *imsi)
    }

    /// A fresh vector for a subscriber who is at `serving`.
    ///
    /// # Errors
    /// The subscriber is unknown, barred, or may not roam; or the sequence number cannot be written down.
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

    /// Section 6.3.5: the card says which sequence number it is at. The next vector follows that.
    ///
    /// # Errors
    /// AUTS was not made with this subscriber's keys, or the sequence number cannot be written down.
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

    /// Changes one subscriber, writes it down in a cell of its own, and only then says so.
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
    tracing::warn!(%fault, "the subscriber server could not write");
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

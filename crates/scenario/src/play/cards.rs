//! The cards of devices: simulated cards, and third-party cards behind an interface.

use certs::Pki;
use crypto::Curve;
use device::{EventSource, Lpa, LpaSettings, Slot};
use euicc_sim::{Card, CardDescription};
use fleet::CardProfile;
use rsp::ids::{Eid, SmdpAddress};
use rsp::sgp22::ProfileState;
use rsp::sgp32::EimConfigurationData;
use world::{Atr, BoxCardInterface, CardInterface, CardInterfaceFault, Fault, Link, RamMemory, TokioClock};

use super::environment::ThirdPartyCard;
use super::internal_fault::bug;
use testbed::bad_pki;
use testbed::consumer::nowhere;

/// The card of a device while it is not in use.
#[derive(Clone)]
pub(super) enum CardAt {
    /// The stored memory of a simulated card.
    Simulated(RamMemory),
    /// The interface of a third-party card.
    ThirdParty(Slot<BoxCardInterface>),
}

/// A card with power.
pub(super) enum AnyCard {
    /// A simulated card.
    Simulated(Box<Card>),
    /// A third-party card.
    ThirdParty { card_interface: Slot<BoxCardInterface>, is_reset: bool },
}

impl CardAt {
    /// The stored memory of a simulated card. M2M devices have only simulated cards.
    pub(super) fn memory(&self) -> Result<&RamMemory, Fault> {
        match self {
            Self::Simulated(memory) => Ok(memory),
            Self::ThirdParty(_) => Err(bug("it is a third-party card")),
        }
    }
}

impl AnyCard {
    pub(super) fn behind(card_interface: Slot<BoxCardInterface>) -> Self {
        Self::ThirdParty { card_interface, is_reset: false }
    }
}

impl CardInterface for AnyCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        match self {
            Self::Simulated(card) => CardInterface::transmit(card.as_mut(), command).await,
            Self::ThirdParty { card_interface, is_reset } => {
                if !*is_reset {
                    card_interface.reset().await?;
                    *is_reset = true;
                }
                card_interface.transmit(command).await
            }
        }
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        match self {
            Self::Simulated(card) => CardInterface::reset(card.as_mut()).await,
            Self::ThirdParty { card_interface, is_reset } => {
                *is_reset = true;
                card_interface.reset().await
            }
        }
    }
}

/// Returns an LPA without links to servers. It can only exchange commands with the card.
pub(super) fn by_hand(card: AnyCard, clock: TokioClock) -> Lpa<AnyCard> {
    let links = |address: &SmdpAddress| -> Result<Link, Fault> { Ok(nowhere(address)) };
    Lpa::new(card, links, LpaSettings::default(), EventSource::silent(clock))
}

/// Reads the EID and the profiles of a third-party card. The card does not report the operators of
/// the profiles.
pub(super) async fn found(
    card: &ThirdPartyCard,
    clock: TokioClock,
) -> Result<(Eid, Vec<CardProfile>), Fault> {
    let cannot = |why| {
        let what = format!("cannot use the card of {} {}", card.group, card.number);
        Fault::caused_by(why, what, "check that it is an eUICC and that no other program uses it")
    };
    let mut lpa = by_hand(AnyCard::behind(card.card_interface.clone()), clock);
    let eid = lpa.eid().await.map_err(cannot)?;
    let listed = lpa.list().await.map_err(cannot)?;
    let on_card = listed.iter().filter_map(|profile| {
        let enabled = profile.profile_state == Some(ProfileState::ENABLED);
        Some(CardProfile { iccid: profile.iccid?, enabled, home: None })
    });
    Ok((eid, on_card.collect()))
}

/// The description of a simulated card, which is needed each time that the card is opened. An IoT
/// card has `eims`, which are associated with a new card.
pub(super) fn describe(
    (pki, strict): (&Pki, bool),
    eid: Eid,
    eims: Option<&[EimConfigurationData]>,
) -> Result<CardDescription, Fault> {
    let credentials = [pki.euicc(Curve::P256, eid).map_err(bad_pki)?];
    let description = match eims {
        Some(eims) => CardDescription::iot_for(eid, &credentials, eims),
        None => CardDescription::default_for(eid, &credentials),
    };
    Ok(CardDescription { strict, ..description })
}

//! The cards of devices: simulated here, or somebody else's behind a door.

use device::{Lpa, LpaSettings, Slot, Teller};
use euicc_sim::Card;
use fleet::OnCard;
use rsp::ids::{Eid, SmdpAddress};
use rsp::sgp22::ProfileState;
use world::{Atr, BoxCardDoor, CardDoor, DoorFault, Fault, Link, Memory, RamMemory, TokioClock};

use super::outside::TheirCard;
use super::stage::{Stage, bug};
use crate::consumer::nowhere;

/// Where a device's card is while nobody uses it.
#[derive(Clone)]
pub(super) enum CardAt {
    /// What it has written down.
    Ours(RamMemory),
    /// Behind this door.
    Theirs(Slot<BoxCardDoor>),
}

/// A card in use. It has been given power.
pub(super) enum AnyCard {
    /// Simulated here.
    Ours(Box<Card>),
    /// Somebody else's.
    Theirs { door: Slot<BoxCardDoor>, is_reset: bool },
}

impl CardAt {
    /// What a card that is simulated here has written down; those of M2M devices are.
    pub(super) fn memory(&self) -> Result<&RamMemory, Fault> {
        match self {
            Self::Ours(memory) => Ok(memory),
            Self::Theirs(_) => Err(bug("it is somebody else's card")),
        }
    }
}

impl AnyCard {
    pub(super) fn behind(door: Slot<BoxCardDoor>) -> Self {
        Self::Theirs { door, is_reset: false }
    }
}

impl CardDoor for AnyCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        match self {
            Self::Ours(card) => CardDoor::transmit(card.as_mut(), command).await,
            Self::Theirs { door, is_reset } => {
                if !*is_reset {
                    door.reset().await?;
                    *is_reset = true;
                }
                door.transmit(command).await
            }
        }
    }

    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        match self {
            Self::Ours(card) => CardDoor::reset(card.as_mut()).await,
            Self::Theirs { door, is_reset } => {
                *is_reset = true;
                door.reset().await
            }
        }
    }
}

impl Stage {
    /// A card given power, on its memory as `seen`, with dice of this name.
    pub(super) fn card<M: Memory + 'static>(
        &self,
        (eid, at): (Eid, CardAt),
        dice: &str,
        seen: impl FnOnce(RamMemory) -> M,
    ) -> Result<AnyCard, Fault> {
        Ok(match at {
            CardAt::Theirs(door) => AnyCard::behind(door),
            CardAt::Ours(memory) => {
                let (description, world) = (self.description(eid)?, self.simulation.world(dice));
                AnyCard::Ours(Box::new(Card::open_among(description, seen(memory), world, &self.shared)?))
            }
        })
    }
}

/// An LPA that reaches nobody: for who asks the card itself.
pub(super) fn by_hand(card: AnyCard, clock: TokioClock) -> Lpa<AnyCard> {
    let links = |asked: &SmdpAddress| -> Result<Link, Fault> { Ok(nowhere(asked)) };
    Lpa::new(card, links, LpaSettings::default(), Teller::silent(clock))
}

/// What somebody else's card says of itself: which it is, and what is on it. Whose its profiles are, it does not say.
pub(super) async fn found(card: &TheirCard, clock: TokioClock) -> Result<(Eid, Vec<OnCard>), Fault> {
    let cannot = |why| {
        let what = format!("cannot use the card of {} {}", card.group, card.number);
        Fault::caused_by(why, what, "look whether it is an eUICC, and whether somebody else is using it")
    };
    let mut lpa = by_hand(AnyCard::behind(card.door.clone()), clock);
    let eid = lpa.eid().await.map_err(cannot)?;
    let listed = lpa.list().await.map_err(cannot)?;
    let on_card = listed.iter().filter_map(|profile| {
        let enabled = profile.profile_state == Some(ProfileState::ENABLED);
        Some(OnCard { iccid: profile.iccid?, enabled, home: None })
    });
    Ok((eid, on_card.collect()))
}

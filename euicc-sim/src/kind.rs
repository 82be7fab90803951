//! The kinds of card. The dispatch looks up the kind once for each command, and passes a context of
//! this kind to the functions that only this kind of card has.

use std::ops::{Deref, DerefMut};

use crate::consumer::ConsumerContext;
use crate::context::Context;
use crate::ecasd::Ecasd;
use crate::m2m::context::{FactoryData, M2mContext};
use crate::state::{ConsumerState, m2m};

/// The kind of a card with everything that only this kind has.
pub(crate) enum CardKind {
    /// SGP.22.
    Consumer(Box<ConsumerCard>),
    /// SGP.02.
    M2m(Box<M2mCard>),
}

pub(crate) struct ConsumerCard {
    pub(crate) ecasd: Ecasd,
    pub(crate) state: ConsumerState,
}

pub(crate) struct M2mCard {
    pub(crate) factory: FactoryData,
    pub(crate) state: m2m::State,
}

/// A card of any kind as seen by one command.
pub(crate) enum CardContext<'c, 'a> {
    Consumer(&'c mut ConsumerContext<'a>),
    M2m(&'c mut M2mContext<'a>),
}

impl CardContext<'_, '_> {
    /// Free non-volatile memory in octets.
    pub(crate) fn free_memory(&self) -> u32 {
        match self {
            Self::Consumer(context) => context.free_memory(),
            Self::M2m(context) => context.free_memory(),
        }
    }
}

impl<'a> Deref for CardContext<'_, 'a> {
    type Target = Context<'a>;

    fn deref(&self) -> &Context<'a> {
        match self {
            Self::Consumer(context) => context,
            Self::M2m(context) => context,
        }
    }
}

impl<'a> DerefMut for CardContext<'_, 'a> {
    fn deref_mut(&mut self) -> &mut Context<'a> {
        match self {
            Self::Consumer(context) => context,
            Self::M2m(context) => context,
        }
    }
}

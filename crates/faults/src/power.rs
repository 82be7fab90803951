//! Faults of the power: a memory whose writes go wrong, and the door of a card that has none any more.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::Notify;
use world::{Atr, Batch, CardDoor, Cells, DoorFault, Fault, Link, LinkFault, Memory, link_from};

use super::catalogue::FaultId;
use super::{FaultInjector, FaultSpec, Struck};

/// What happens to the power, or to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerAct {
    /// It goes before a write.
    CutBeforeWrite,
    /// It goes after a write.
    CutAfterWrite,
    /// It goes in the middle of one.
    TornWrite,
    /// A write fails, and it stays.
    WriteFails,
}

/// The power of a card, or of a device with its card. A clone is the same power.
#[derive(Clone, Default)]
pub struct Power(Arc<State>);

#[derive(Default)]
struct State {
    is_gone: AtomicBool,
    told: Notify,
    by: OnceLock<FaultSpec>,
}

impl Power {
    /// Whether it is gone.
    pub fn is_gone(&self) -> bool {
        self.0.is_gone.load(Ordering::SeqCst)
    }

    /// Waits until it is gone.
    pub async fn gone(&self) {
        loop {
            let told = self.0.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.is_gone() {
                return;
            }
            told.await;
        }
    }

    /// What took it away, if a mishap did.
    pub fn cut_by(&self) -> Option<&FaultSpec> {
        self.0.by.get()
    }

    fn cut_with(&self, struck: &Struck) {
        self.0.by.get_or_init(|| struck.mishap().clone());
        self.cut();
    }

    /// Takes it away. What hangs on it is made anew, on another power.
    pub fn cut(&self) {
        self.0.is_gone.store(true, Ordering::SeqCst);
        self.0.told.notify_waiters();
    }

    /// A link of the device that has this power: what it does without it, nobody hears.
    pub fn link(&self, peer: Link) -> Link {
        let power = self.clone();
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (power, peer) = (power.clone(), peer.clone());
            async move {
                power.or_never(async {}).await;
                let answer: Result<Response<Bytes>, LinkFault> = world::send(&peer, request).await;
                power.or_never(async { answer }).await
            }
        }))
    }

    /// What comes of it, if there still is power then; otherwise nothing ever does.
    async fn or_never<T>(&self, of: impl Future<Output = T>) -> T {
        let result = of.await;
        if self.is_gone() {
            std::future::pending::<()>().await;
        }
        result
    }
}

/// The door of a card on a power that may go.
///
/// Of the device's own power: whoever waits for the card waits for ever, as somebody does who is no more. Of the card's
/// alone: the device sees a broken door.
pub struct PoweredDoor<D> {
    inner: D,
    power: Power,
    is_of_device: bool,
}

impl<D: CardDoor> PoweredDoor<D> {
    /// The door of a card that has the device's power.
    pub fn of_device(inner: D, power: Power) -> Self {
        Self { inner, power, is_of_device: true }
    }

    /// The door of a card whose power may go without the device's.
    pub fn of_card(inner: D, power: Power) -> Self {
        Self { inner, power, is_of_device: false }
    }

    fn still<T: Send>(
        &self,
        answer: Result<T, DoorFault>,
    ) -> impl Future<Output = Result<T, DoorFault>> + Send + use<D, T> {
        let (is_gone, is_of_device) = (self.power.is_gone(), self.is_of_device);
        async move {
            match is_gone {
                false => answer,
                true if is_of_device => std::future::pending().await,
                true => Err(DoorFault::Broken("the card has no power".into())),
            }
        }
    }
}

impl<D: CardDoor> CardDoor for PoweredDoor<D> {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        self.still(Ok(())).await?;
        let answer = self.inner.transmit(command).await;
        self.still(answer).await
    }

    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        self.still(Ok(())).await?;
        let answer = self.inner.reset().await;
        self.still(answer).await
    }
}

/// The door of a card in somebody's reader or modem: when its power has gone the door is broken, and the next reset gives it
/// power again. The card is made anew then, on what was written down.
pub struct SwitchedDoor<D, F> {
    make: F,
    power: Power,
    /// None while it has no power.
    on: Option<PoweredDoor<D>>,
}

impl<D: CardDoor, F: FnMut(Power) -> Result<D, Fault> + Send> SwitchedDoor<D, F> {
    /// A card with power, made by this whenever it gets power.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(mut make: F) -> Result<Self, Fault> {
        let power = Power::default();
        let on = Some(PoweredDoor::of_card(make(power.clone())?, power.clone()));
        Ok(Self { make, power, on })
    }

    fn switch_on(&mut self) -> Result<&mut PoweredDoor<D>, Fault> {
        if self.power.is_gone() {
            // What it holds of its memory goes before it is made anew.
            self.on = None;
            self.power = Power::default();
        }
        match &mut self.on {
            Some(on) => Ok(on),
            off => Ok(off.insert(PoweredDoor::of_card((self.make)(self.power.clone())?, self.power.clone()))),
        }
    }
}

impl<D: CardDoor, F: FnMut(Power) -> Result<D, Fault> + Send> CardDoor for SwitchedDoor<D, F> {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        match &mut self.on {
            Some(on) => on.transmit(command).await,
            None => Err(DoorFault::Broken("the card has no power".into())),
        }
    }

    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        self.switch_on().map_err(|fault| DoorFault::Card(fault.to_string()))?.reset().await
    }
}

/// A memory with what goes wrong with it.
pub struct FaultyMemory<M> {
    whose: &'static str,
    inner: M,
    file: Option<PathBuf>,
    mishaps: FaultInjector,
    power: Power,
}

impl<M: Memory> FaultyMemory<M> {
    /// The memory of `whose` (`card` or `device`), on this power.
    pub fn new(whose: &'static str, inner: M, mishaps: FaultInjector, power: Power) -> Self {
        Self { whose, inner, file: None, mishaps, power }
    }

    /// The same for a memory whose journal is this file: a torn write is one there. Without a file nothing is left of it.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    fn strike(&self, batch: &Batch) -> Option<Struck> {
        self.mishaps.strike(|mishap: &FaultSpec| {
            matches!(mishap.id(), FaultId::Power(_))
                && mishap.place().is_none_or(|place| self.is_at(place, batch))
        })
    }

    /// A cell is named by how it begins.
    fn is_at(&self, place: &str, batch: &Batch) -> bool {
        let (whose, cell) = place.split_once(':').unwrap_or((place, ""));
        whose == self.whose && batch.changes().any(|(name, _)| name.starts_with(cell))
    }

    fn commit_with(&mut self, struck: &Struck, batch: Batch) -> Result<(), Fault> {
        let FaultId::Power(act) = struck.id() else { return self.inner.commit(batch) };
        match act {
            PowerAct::WriteFails => return Err(self.fault(struck)),
            PowerAct::CutBeforeWrite => {}
            PowerAct::CutAfterWrite => self.inner.commit(batch)?,
            PowerAct::TornWrite => self.tear(struck, batch)?,
        }
        self.power.cut_with(struck);
        Err(self.fault(struck))
    }

    /// Writes, and takes the end of what was written away.
    fn tear(&mut self, struck: &Struck, batch: Batch) -> Result<(), Fault> {
        let Some(path) = self.file.clone() else { return Ok(()) };
        let cannot = |why: std::io::Error| {
            Fault::caused_by(why, format!("cannot tear {}", path.display()), "give the memory's own file")
        };
        let length = || {
            std::fs::metadata(&path).map(|file| file.len()).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(0),
                _ => Err(error),
            })
        };
        let before = length().map_err(cannot)?;
        self.inner.commit(batch)?;
        let after = length().map_err(cannot)?;
        let written = after.saturating_sub(before);
        let missing = struck.number().and_then(|number| u64::try_from(number).ok()).unwrap_or(written / 2);
        let file = OpenOptions::new().write(true).open(&path).map_err(cannot)?;
        file.set_len(after - missing.clamp(1.min(written), written)).map_err(cannot)
    }

    fn fault(&self, struck: &Struck) -> Fault {
        Fault::new(
            format!("cannot write the memory of the {}", self.whose),
            struck.mishap().to_string(),
            "take the fault away",
        )
    }
}

impl<M: Memory> Memory for FaultyMemory<M> {
    fn load(&self) -> Result<Cells, Fault> {
        self.inner.load()
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        if self.power.is_gone() {
            return Err(Fault::new("cannot write", "there is no power", "switch it on again"));
        }
        match self.strike(&batch) {
            None => self.inner.commit(batch),
            Some(struck) => self.commit_with(&struck, batch),
        }
    }
}

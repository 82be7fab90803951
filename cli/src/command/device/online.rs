//! `landfall device run`: a device that stays on.

use std::{sync::Arc, time::Duration};

use clap::Args;
use euicc_sim::{
    device::{Modem, Online, OnlineSettings, Teller},
    network::RemoteNetworks,
};
use net::{Client, TcpDial};
use rsp::ota::cat::Imei;
use world::Fault;

use super::Command;
use crate::{
    output::{Lines, remark},
    parties,
    settings::Settings,
};

/// How it runs.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The device's IMEI, 15 digits
    #[arg(long, value_parser = imei)]
    imei: Option<Imei>,
    /// Seconds between two searches for a network
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    search_pause: u64,
    /// Where a host is that the card opens channels to; may be repeated
    #[arg(long = "channel-to", value_name = "HOST=HOST:PORT", value_parser = elsewhere)]
    channels_to: Vec<(String, String)>,
}

fn imei(text: &str) -> Result<Imei, String> {
    Imei::of_digits(text).ok_or_else(|| "an IMEI has 15 digits".to_owned())
}

fn elsewhere(text: &str) -> Result<(String, String), String> {
    let (host, address) =
        text.split_once('=').ok_or("a host, = and where it is, such as 10.0.0.1=127.0.0.1:8446")?;
    Ok((host.to_owned(), address.to_owned()))
}

impl Command {
    /// Runs until it is stopped.
    ///
    /// # Errors
    /// The card does not answer any more.
    pub(super) async fn run_online(
        &self,
        options: &Options,
        settings: &Settings,
        json: bool,
    ) -> Result<(), Fault> {
        let (world, clock) = parties::os_world()?;
        let pki = crate::pki::load_or_init(settings)?;
        let (door, eid) = self.door(settings, &pki, &world).await?;
        let teller = Teller::new("device", clock, Arc::new(Lines::new(world.now(), json)));
        let radio = Client::default().link(&settings.network, None)?;
        let mut modem = Modem::new(door, RemoteNetworks::new(radio), teller.clone());
        modem.set_visible(self.visible.clone());
        let defaults = OnlineSettings::default();
        let device = OnlineSettings {
            imei: options.imei.unwrap_or(defaults.imei),
            search_pause: Duration::from_secs(options.search_pause.max(1)),
        };
        let dial = options
            .channels_to
            .iter()
            .fold(TcpDial::default(), |dial, (host, address)| dial.with_connect_to(host, address));
        let mut device = Online::new(modem, dial, device, teller);
        let handle = device.handle();
        remark(&format!("device with card {eid}; Ctrl-C stops it"));
        let stop = async {
            crate::command::sm_dp::stop_signal().await;
            handle.stop();
            // The device ends by itself.
            std::future::pending().await
        };
        tokio::select! {
            ended = device.run() => ended.map_err(|error| {
                let next = "look at the timeline above; start it again when the card is there";
                Fault::new("the device has lost its card", error.to_string(), next)
            }),
            () = stop => Ok(()),
        }
    }
}

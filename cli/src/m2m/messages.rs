//! Every SOAP message between the parties of a run, a file each, for whoever wants to read them or hold them against a schema.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::Request;
use rsp::sgp02::{
    soap::{Envelope, Received},
    xml,
};
use world::{Fault, Link, link_from};

use crate::output::remark;

/// A folder of messages, numbered in the order in which they went: `0001-ES1-RegisterEISRequest.xml`. A clone is the same folder.
#[derive(Clone, Debug)]
pub struct Messages {
    folder: PathBuf,
    count: Arc<AtomicUsize>,
}

impl Messages {
    /// An empty folder, made if it is not there.
    ///
    /// # Errors
    /// It cannot be made, or there is something in it.
    pub fn into_folder(folder: PathBuf) -> Result<Self, Fault> {
        let is_empty = fs::create_dir_all(&folder).and_then(|()| Ok(fs::read_dir(&folder)?.next().is_none()));
        match is_empty {
            Ok(true) => Ok(Self { folder, count: Arc::default() }),
            Ok(false) => Err(Fault::new(
                format!("cannot keep messages in {}", folder.display()),
                "there are files in it already",
                "name a folder that is new or empty",
            )),
            Err(error) => Err(Fault::caused_by(
                error,
                format!("cannot keep messages in {}", folder.display()),
                "name a folder that can be written",
            )),
        }
    }

    /// Whatever goes over this link, and comes back, is kept.
    pub fn over(&self, link: Link) -> Link {
        let messages = self.clone();
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (messages, link) = (messages.clone(), link.clone());
            async move {
                messages.keep(request.body());
                let response = world::send(&link, request).await?;
                messages.keep(response.body());
                Ok(response)
            }
        }))
    }

    /// A message that cannot be written is missing from the folder, and from nothing else.
    fn keep(&self, octets: &[u8]) {
        if octets.is_empty() {
            return;
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let file = self.folder.join(format!("{number:04}-{}.xml", name(octets)));
        if let Err(error) = fs::write(&file, octets) {
            remark(&format!("{} was not written: {error}", file.display()));
        }
    }
}

/// What a file is called that has this in it.
fn name(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let Ok(document) = xml::parse(&text) else { return "no-xml".to_owned() };
    match Envelope::receive(&document) {
        Ok(Received::Message(envelope)) => envelope.element().to_owned(),
        Ok(Received::Fault(_)) => "fault".to_owned(),
        Err(_) => "no-message".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use rsp::sgp02::soap::SoapFault;

    use super::*;

    #[tokio::test]
    async fn what_goes_over_a_link_and_comes_back_is_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let fault = SoapFault::sender("no").to_xml();
        let said = fault.clone();
        let link = link_from(tower::service_fn(move |_| {
            let said = said.clone();
            async move { Ok(Response::new(Bytes::from(said))) }
        }));
        let messages = Messages::into_folder(folder.path().join("new")).unwrap();
        let _answer =
            world::send(&messages.over(link), Request::new(Bytes::from_static(b"hello"))).await.unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join("new").join(name)).unwrap();
        assert_eq!(read("0001-no-xml.xml"), "hello");
        assert_eq!(read("0002-fault.xml"), fault);
        // Those of another run would be mixed with them.
        assert!(Messages::into_folder(folder.path().join("new")).is_err());
    }
}

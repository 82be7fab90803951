//! Recording of all SOAP messages between the parties, one file each, for reading or schema
//! validation.

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

use crate::{files, output::remark};

/// A folder of messages, numbered in the order of their transmission:
/// `0001-ES1-RegisterEISRequest.xml`. Clones write to the same folder.
#[derive(Clone, Debug)]
pub struct Messages {
    folder: PathBuf,
    count: Arc<AtomicUsize>,
}

impl Messages {
    /// Uses an empty folder, which is created if it does not exist. Messages contain keys, so only
    /// their owner has access.
    ///
    /// # Errors
    /// The folder cannot be created or is not empty.
    pub fn into_folder(folder: PathBuf) -> Result<Self, Fault> {
        let is_empty =
            net::create_private_folder(&folder).and_then(|()| Ok(fs::read_dir(&folder)?.next().is_none()));
        match is_empty {
            Ok(true) => Ok(Self { folder, count: Arc::default() }),
            Ok(false) => Err(Fault::usage(
                format!("cannot record messages in {}", folder.display()),
                "the folder is not empty",
                "choose a new or empty folder",
            )),
            Err(error) => Err(Fault::usage_caused_by(
                error,
                format!("cannot record messages in {}", folder.display()),
                "choose a writable folder",
            )),
        }
    }

    /// Wraps a link so that its requests and responses are recorded.
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

    /// Writes a message to a file. A failure is reported on standard error and has no other
    /// effect.
    fn keep(&self, octets: &[u8]) {
        if octets.is_empty() {
            return;
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let file = self.folder.join(format!("{number:04}-{}.xml", name(octets)));
        if let Err(error) = files::write_private(&file, octets) {
            remark(&error.to_string());
        }
    }
}

/// Returns the part of the file name after the number: the element of the message.
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
    use std::os::unix::fs::PermissionsExt;

    use http::Response;
    use rsp::sgp02::soap::SoapFault;

    use super::*;

    #[tokio::test]
    async fn requests_and_responses_are_written_to_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let fault = SoapFault::sender("no").to_xml();
        let body = fault.clone();
        let link = link_from(tower::service_fn(move |_| {
            let body = body.clone();
            async move { Ok(Response::new(Bytes::from(body))) }
        }));
        let messages = Messages::into_folder(folder.path().join("new")).unwrap();
        let _answer =
            world::send(&messages.over(link), Request::new(Bytes::from_static(b"hello"))).await.unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join("new").join(name)).unwrap();
        assert_eq!(read("0001-no-xml.xml"), "hello");
        assert_eq!(read("0002-fault.xml"), fault);
        let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("new"), mode("new/0001-no-xml.xml")), (0o700, 0o600));
        // A folder with the messages of another run is refused.
        assert!(Messages::into_folder(folder.path().join("new")).is_err());
    }
}

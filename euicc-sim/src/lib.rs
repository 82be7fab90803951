//! The software eUICC (APDU in, APDU out) and the device that holds it (LPA, modem, location). No sockets.

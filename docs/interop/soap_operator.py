"""The functions of ES2 and ES4 that an operator calls, by zeep, from the WSDLs of namespace 3.

soap_operator.py WSDL-FOLDER EID SM-SR-OID ICCID MSISDN    (docs/interop/soap-and-tls.md has the output)

The ICCID is that of a profile that the SM-DP has in stock, with this MSISDN. The operator receives the replies of asynchronous
functions at 127.0.0.1:8447.
"""

import http.server
import queue
import ssl
import sys
import threading

import requests
import zeep
from lxml import etree
from zeep.transports import Transport

WSA = "{http://www.w3.org/2005/08/addressing}"
HERE = "https://127.0.0.1:8447/sgp02?EntityId=2.999.20.1230898428"
folder, eid, sm_sr, iccid, msisdn = sys.argv[1:]
replies = queue.Queue()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        replies.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def listen():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile="ci.pem")
    context.load_cert_chain("receiver.pem", "receiver-key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 8447), Receiver)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class Server:
    def __init__(self, wsdl, port):
        session = requests.Session()
        session.cert, session.verify = ("operator.pem", "operator-key.pem"), "ci.pem"
        self.client = zeep.Client(f"{folder}/{wsdl}", transport=Transport(session=session))
        self.service = self.client.create_service(list(self.client.wsdl.bindings)[0], f"https://127.0.0.1:{port}/sgp02")

    def call(self, function, identifier, later=False, **what):
        """Calls a function and prints its result. `later`: the reply is a call of its own."""
        headers = [endpoint("From")] + ([endpoint("ReplyTo")] if later else [])
        answer = self.service[function](
            _soapheaders=headers, FunctionCallIdentifier=identifier, ValidityPeriod=60, Eid=eid, **what
        )
        if later:
            answer = self.awaited(function)
        answer = getattr(answer, "body", answer)
        status = answer.FunctionExecutionStatus
        why = status.StatusCodeData
        words = [function, status.Status, *([why.Subject, why.Reason, why.Message] if why else [])]
        for profile in (getattr(answer, "Eis", None) or {"ProfileInfo": []})["ProfileInfo"]:
            words += [profile.Iccid, profile.State]
        print(*words, flush=True)

    def awaited(self, function):
        """Waits for the reply of this function, and lets zeep parse it. Prints notifications that come before it."""
        while True:
            body = etree.fromstring(replies.get(timeout=60)).find("{*}Body")[0]
            name = etree.QName(body).localname
            if name == f"{function}Response":
                return self.client.get_element(etree.QName(body).text).parse(body, self.client.wsdl.types)
            print("  received", name, flush=True)


def endpoint(name):
    element = etree.Element(WSA + name)
    etree.SubElement(element, WSA + "Address").text = HERE
    return element


listen()
es2, es4 = Server("ES2_SMDP.wsdl", 8443), Server("ES4_SMSR.wsdl", 8445)
here = {"Smsr-id": sm_sr}
es4.call("ES4-GetEIS", "z-1")
es2.call("ES2-DownloadProfile", "z-2", later=True, Iccid=iccid, EnableProfile=False, **{"SmSr-id": sm_sr})
es2.call("ES2-GetEIS", "z-3", **here)
es2.call("ES2-EnableProfile", "z-4", later=True, Iccid=iccid, **{"SmSr-id": sm_sr})
es2.call("ES2-UpdateSubscriptionAddress", "z-5", Iccid=iccid, newSubscriptionAddress={"Msisdn": msisdn}, **here)
es2.call("ES2-UpdatePolicyRules", "z-6", Iccid=iccid, pol2={"Rule": []}, **here)
es4.call("ES4-AuditEIS", "z-7", later=True)
es4.call("ES4-UpdatePolicyRules", "z-8", Iccid=iccid, pol2={"Rule": []})
es4.call("ES4-UpdateSubscriptionAddress", "z-9", Iccid=iccid, newSubscriptionAddress={"Msisdn": msisdn})
es4.call("ES4-DisableProfile", "z-10", later=True, Iccid=iccid)
es4.call("ES4-EnableProfile", "z-11", later=True, Iccid=iccid)
es2.call("ES2-DisableProfile", "z-12", later=True, Iccid=iccid, **here)
es2.call("ES2-DeleteProfile", "z-13", later=True, Iccid=iccid, **here)
es2.call("ES2-DownloadProfile", "z-14", later=True, Iccid=iccid, EnableProfile=False, **{"SmSr-id": sm_sr})
es4.call("ES4-DeleteProfile", "z-15", later=True, Iccid=iccid)
es4.call("ES4-DeleteProfile", "z-16", later=True, Iccid=iccid)
es4.call("ES4-GetEIS", "z-17")

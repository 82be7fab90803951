"""ES4.GetEIS and ES2.GetEIS by zeep, from the WSDLs of namespace 3.  get_eis.py WSDL-FOLDER EID SM-SR-OID"""

import sys

import requests
import zeep
from lxml import etree
from zeep.transports import Transport

WSA = "{http://www.w3.org/2005/08/addressing}"
folder, eid, sm_sr = sys.argv[1:]


def ask(wsdl, port, function, **what):
    session = requests.Session()
    session.cert, session.verify = ("operator.pem", "operator-key.pem"), "ci.pem"
    client = zeep.Client(f"{folder}/{wsdl}", transport=Transport(session=session))
    service = client.create_service(list(client.wsdl.bindings)[0], f"https://127.0.0.1:{port}/sgp02")
    # zeep adds Action, MessageID and To as the WSDL has them.
    sender = etree.Element(WSA + "From")
    etree.SubElement(sender, WSA + "Address").text = "https://127.0.0.1:8447/sgp02?EntityId=2.999.20.1230898428"
    answer = service[function](_soapheaders=[sender], ValidityPeriod=60, Eid=eid, **what)
    answer = getattr(answer, "body", answer)
    print(function, answer.FunctionExecutionStatus.Status, end="")
    for profile in answer.Eis.ProfileInfo if answer.Eis else []:
        print("", profile.Iccid, profile.State, end="")
    print()


ask("ES4_SMSR.wsdl", 8445, "ES4-GetEIS", FunctionCallIdentifier="z-1")
ask("ES2_SMDP.wsdl", 8443, "ES2-GetEIS", FunctionCallIdentifier="z-2", **{"Smsr-id": sm_sr})

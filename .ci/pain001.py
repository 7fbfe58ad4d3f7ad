"""Validates a pain.001.001.09 by its XSD, and its sums and names by what the payouts say."""

import json
import re
import sys
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import sepaxml
import xmlschema

EXPONENTS = {"JPY": 0, "KWD": 3}
NAMESPACE = {"p": "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"}
# What every bank must take (EPC 217-08).
LETTERS = re.compile(r"[A-Za-z0-9/\-?:().,'+ ]{1,70}")


def main(payments: str, payouts: str) -> None:
    schema_file = Path(sepaxml.__file__).parent / "schemas" / "pain.001.001.09.xsd"
    schema = xmlschema.XMLSchema(str(schema_file))
    schema.validate(payments)
    text = Path(payments).read_text(encoding="utf-8")
    broken = re.sub(r"<MsgId>.*?</MsgId>", f"<MsgId>{'x' * 36}</MsgId>", text)
    assert not schema.is_valid(broken), "the schema finds nothing wrong whatever it is given"

    root = ElementTree.fromstring(text)
    find = lambda node, path: [found.text for found in node.findall(path, NAMESPACE)]
    expected = {}
    for item in json.loads(Path(payouts).read_text(encoding="utf-8"))["items"]:
        amount = Decimal(item["amount_minor"]).scaleb(-EXPONENTS.get(item["currency"], 2))
        expected[item["id"].replace("-", "")] = (item["currency"], amount)

    written = {}
    for group in root.findall(".//p:PmtInf", NAMESPACE):
        transfers = group.findall("p:CdtTrfTxInf", NAMESPACE)
        total, currencies = Decimal(0), set()
        for transfer in transfers:
            (end_to_end_id,) = find(transfer, "p:PmtId/p:EndToEndId")
            amount = transfer.find("p:Amt/p:InstdAmt", NAMESPACE)
            currency = amount.get("Ccy")
            _, _, decimals = amount.text.partition(".")
            assert len(decimals) == EXPONENTS.get(currency, 2), amount.text
            written[end_to_end_id] = (currency, Decimal(amount.text))
            total += Decimal(amount.text)
            currencies.add(currency)
        assert len(currencies) == 1, f"{currencies} stand in one block"
        assert find(group, "p:NbOfTxs") == [str(len(transfers))]
        assert Decimal(find(group, "p:CtrlSum")[0]) == total
    assert written == expected, f"{written} is not {expected}"
    header = root.find(".//p:GrpHdr", NAMESPACE)
    assert find(header, "p:NbOfTxs") == [str(len(expected))]
    assert Decimal(find(header, "p:CtrlSum")[0]) == sum(amount for _, amount in expected.values())
    names = find(root, ".//p:Nm") + find(root, ".//p:Ustrd")
    wrong = [name for name in names if not LETTERS.fullmatch(name[:70]) or "//" in name]
    assert not wrong, f"banks need not take {wrong}"
    currencies = sorted({currency for currency, _ in expected.values()})
    print(f"{len(expected)} payments in {', '.join(currencies)} are as the XSD has them: {names[0]}, {names[3]}, …")


main(*sys.argv[1:])

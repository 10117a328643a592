"""The public names: a finding holds the list that mends the contract."""

import json
import re

import msgspec

from tq_contract.checks.checkout import Checkout
from tq_contract.source_tree import CONTRACT

INIT = "packages/tq-mlx/src/tq_mlx/__init__.py"


def test_the_remedy_s_list_copied_into_the_contract_mends_it(tree):
    tree.replace(INIT, "__all__ = [", '__all__ = [\n    "os",')
    tree.replace(INIT, '    "uninstall",\n', "")
    listed = {re.search(r'"public": (\[.*\])', finding.remedy)[1] for finding in tree.find("public_api")}
    assert len(listed) == 1
    contract = msgspec.to_builtins(Checkout(tree.root).contract)
    (entry,) = (package for package in contract["packages"] if package["name"] == "tq-mlx")
    entry["public"] = json.loads(listed.pop())
    tree.write(CONTRACT, json.dumps(contract))
    assert tree.find("public_api") == set()

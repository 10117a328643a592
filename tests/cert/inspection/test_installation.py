"""What is installed: held against a wheel's bytes, and against what its installer recorded."""

import base64
import hashlib
import json
import zipfile

import pytest

from tq_cert.errors import FileAccessError
from tq_cert.inspection import installation

VERSION = "0.1.0"


def record_line(path, content):
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}\n"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions, each from a wheel that lies beside it."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def install(name, origin=None):
        module = name.replace("-", "_")
        files = {f"{module}/__init__.py": b"VALUE = 1\n", f"{module}-{VERSION}.dist-info/METADATA": metadata(name)}
        record = f"{module}-{VERSION}.dist-info/RECORD"
        listing = "".join(record_line(path, content) for path, content in files.items()) + f"{record},,\n"
        wheel = tmp_path / "wheels" / f"{module}-{VERSION}-py3-none-any.whl"
        wheel.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, content in (files | {record: listing.encode()}).items():
                archive.writestr(path, content)
                target = tmp_path / "site" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        if origin is not None:
            url = tmp_path / "site" / f"{module}-{VERSION}.dist-info" / "direct_url.json"
            url.write_text(json.dumps(origin(wheel)))
        return wheel, tmp_path / "site" / module / "__init__.py"

    monkeypatch.setattr(installation, "OURS", ("tq-made-up",))
    return install


def metadata(name):
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {VERSION}\n".encode()


def test_a_wheel_counts_if_every_file_of_it_is_installed_as_it_is(site):
    wheel, _ = site("tq-made-up")
    (found,) = installation.wheels(wheel.parent)
    assert (found.distribution, found.version, found.file) == ("tq-made-up", VERSION, wheel.name)
    assert found.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_a_wheel_is_found_where_the_installer_says_that_it_came_from(site):
    wheel, _ = site("tq-made-up", origin=lambda wheel: {"url": f"file://{wheel}", "archive_info": {}})
    assert [one.file for one in installation.wheels(None)] == [wheel.name]


def test_a_file_that_was_changed_since_is_named_and_the_wheel_counts_no_more(site):
    wheel, module = site("tq-made-up")
    assert not installation.changed_files()
    module.write_text("VALUE = 2\n")
    assert installation.changed_files() == ("tq-made-up: tq_made_up/__init__.py",)
    assert not installation.wheels(wheel.parent)


def test_a_link_to_a_checkout_is_no_wheel(site):
    wheel, module = site("tq-made-up", origin=lambda wheel: {"url": "file:///checkout", "dir_info": {"editable": True}})
    module.write_text("VALUE = 2\n")
    assert installation.editable() == ("tq-made-up",)
    assert not installation.changed_files()
    assert not installation.wheels(wheel.parent)


def test_nothing_is_there(site, tmp_path):
    assert (installation.wheels(tmp_path), installation.editable(), installation.changed_files()) == ((), (), ())


def test_a_broken_wheel_is_an_error_that_names_it(site):
    wheel, _ = site("tq-made-up")
    wheel.write_bytes(b"no wheel")
    with pytest.raises(FileAccessError, match=wheel.name):
        installation.wheels(wheel.parent)

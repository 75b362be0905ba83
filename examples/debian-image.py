#!/usr/bin/env python3
"""Makes an image of Debian packages: an OCI image layout in the folder `images` beside a compose file.

    debian-image.py --name redis --copy my.conf:/etc/my.conf redis-server dash

It asks no registry of images: packages come from the Debian that this machine uses (`apt-get download`). What packages run when they are installed is not run; their files are laid into one layer, always in the same
order with the same times, so that the same packages give the same image (--debs DIR keeps them there, and uses those that are there). The image's digest is printed, and written behind
`NAME@sha256:` in the compose file.
"""

import argparse
import gzip
import hashlib
import io
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile

# Needed to install packages or to administer a machine, and not by what runs.
NEVER = set(
    "adduser base-files base-passwd bash cdebconf coreutils debconf debianutils dpkg findutils gpgv grep gzip init-system-helpers "
    "install-info libpam-modules libpam-modules-bin libpam-runtime libpam0g lsb-base mailcap mawk passwd perl perl-base sed "
    "sysvinit-utils tar ucf usrmerge usr-is-merged util-linux".split()
)
# Read by people alone.
SKIPPED = ("usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/lintian/", "usr/share/bug/", "lib/systemd/", "etc/init.d/")
# Where a Debian of today keeps what older packages put elsewhere.
MERGED = ("bin", "sbin", "lib", "lib64")
USERS = {"root": (0, "/root"), "www-data": (33, "/var/www"), "app": (1000, "/"), "nobody": (65534, "/")}


def closure(packages):
    """The packages and all that they depend on."""
    words = "--no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances".split()
    found, waiting = [], list(packages)
    while waiting:
        name = waiting.pop(0)
        if name in found or (name in NEVER and name not in packages):
            continue
        found.append(name)
        said = subprocess.run(["apt-cache", "depends", *words, name], check=True, capture_output=True, text=True).stdout
        # Of alternatives, marked by a bar before all but the last, the first is taken.
        skip = False
        for line in said.splitlines()[1:]:
            match = re.match(r"^ ([ |])(?:Pre)?Depends: ([^<\s:]+)(?::any)?$", line)
            if match is None:
                continue
            if not skip:
                waiting.append(match.group(2))
            skip = match.group(1) == "|"
    return sorted(found)


def debs(packages, folder):
    """Downloads packages into a folder."""
    names = closure(packages)
    print(f"packages: {' '.join(names)}", file=sys.stderr)
    subprocess.run(["apt-get", "download", "-qq", *names], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def place(name):
    """Where a member of a package stands in the image; None for what is left out."""
    path = name.removeprefix("./").rstrip("/")
    if not path or (path + "/").startswith(SKIPPED) or path in MERGED:
        return None
    return "usr/" + path if path.split("/")[0] in MERGED else path


def members(folder):
    """Every file of the packages, by path."""
    found = {}
    for deb in sorted(pathlib.Path(folder).glob("*.deb")):
        raw = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            for member in archive:
                path = place(member.name)
                if path is None:
                    continue
                content = archive.extractfile(member).read() if member.isfile() else b""
                if member.islnk():
                    member.linkname = place(member.linkname)
                member.name = path
                found[path] = (member, content)
    return found


def add(found, path, content=b"", mode=0o644, link=None):
    """Puts a file, a link, or, where the path ends with a slash, a folder."""
    member = tarfile.TarInfo(path.rstrip("/"))
    member.mode = mode
    if link is not None:
        member.type, member.linkname = tarfile.SYMTYPE, link
    elif path.endswith("/"):
        member.type, member.mode = tarfile.DIRTYPE, mode
    member.size = len(content)
    found[member.name] = (member, content)


def layer(found):
    """One archive of all: folders before what is in them, links to files behind them."""
    order = sorted(found, key=lambda path: (found[path][0].islnk(), path))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in order:
            member, content = found[path]
            member.mtime, member.uname, member.gname, member.pax_headers = 0, "", "", {}
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def put(folder, content):
    """Keeps a blob, and gives its digest."""
    digest = hashlib.sha256(content).hexdigest()
    (folder / "blobs/sha256" / digest).write_bytes(content)
    return digest


def layout(folder, name, archive, config):
    """Adds an image to the layout, in place of one of the same name; the digest of its manifest."""
    (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    packed = gzip.compress(archive, 6, mtime=0)
    document = {"architecture": "amd64", "os": "linux", "config": config,
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(archive).hexdigest()]}}

    def descriptor(kind, content):
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": "sha256:" + put(folder, content), "size": len(content)}

    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                           "config": descriptor("config.v1+json", json.dumps(document).encode()),
                           "layers": [descriptor("layer.v1.tar+gzip", packed)]}).encode()
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
    if (folder / "index.json").exists():
        index = json.loads((folder / "index.json").read_text())
    mark = "org.opencontainers.image.ref.name"
    kept = [entry for entry in index["manifests"] if entry.get("annotations", {}).get(mark) != name]
    entry = descriptor("manifest.v1+json", manifest) | {"annotations": {mark: name}}
    index["manifests"] = kept + [entry]
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return entry["digest"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True, help="name of the image in the compose file")
    parser.add_argument("--compose", default="compose.yaml", type=pathlib.Path)
    parser.add_argument("--debs", type=pathlib.Path, help="folder that keeps the packages; nothing is downloaded where it holds some")
    parser.add_argument("--copy", action="append", default=[], metavar="FILE:PATH", help="a file or a folder of your own")
    parser.add_argument("packages", nargs="*")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as fresh:
        folder = asked.debs or pathlib.Path(fresh)
        folder.mkdir(parents=True, exist_ok=True)
        if asked.packages and not any(folder.glob("*.deb")):
            debs(asked.packages, folder)
        found = members(folder)
    for name in MERGED:
        add(found, f"usr/{name}/", mode=0o755)
        add(found, name, link=f"usr/{name}", mode=0o777)
    add(found, "tmp/", mode=0o1777)
    add(found, "etc/passwd", "".join(f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n" for name, (uid, home) in USERS.items()).encode())
    add(found, "etc/group", "".join(f"{name}:x:{uid}:\n" for name, (uid, _) in USERS.items()).encode())
    authorities = sorted(path for path in found if path.startswith("usr/share/ca-certificates/") and path.endswith(".crt"))
    if authorities:
        add(found, "etc/ssl/certs/ca-certificates.crt", b"".join(found[path][1] for path in authorities))
        add(found, "usr/lib/ssl/cert.pem", link="/etc/ssl/certs/ca-certificates.crt")
    for pair in asked.copy:
        source, path = pair.split(":", 1)
        source, path = pathlib.Path(source), path.lstrip("/")
        for file in sorted(file for file in source.rglob("*") if file.is_file()) if source.is_dir() else [source]:
            place = f"{path}/{file.relative_to(source)}" if source.is_dir() else path
            add(found, place, file.read_bytes(), 0o755 if file.stat().st_mode & 0o100 else 0o644)
    config = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    digest = layout(asked.compose.parent / "images", asked.name, layer(found), config)
    text = asked.compose.read_text()
    named = re.sub(rf"\b{re.escape(asked.name)}@sha256:[0-9a-f]{{64}}", f"{asked.name}@{digest}", text)
    asked.compose.write_text(named)
    print(digest)


if __name__ == "__main__":
    main()

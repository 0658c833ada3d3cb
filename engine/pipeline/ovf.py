"""The description of a virtual machine in an OVA (DMTF DSP0243, OVF 1.1), as VMware reads it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

_OVF = "http://schemas.dmtf.org/ovf/envelope/1"
_CIM = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
_NAMESPACES = {
    "xmlns": _OVF,
    "xmlns:ovf": _OVF,
    "xmlns:rasd": f"{_CIM}CIM_ResourceAllocationSettingData",
    "xmlns:vssd": f"{_CIM}CIM_VirtualSystemSettingData",
    "xmlns:vmw": "http://www.vmware.com/schema/ovf",
}
_STREAM = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
_LINUX_64 = "101"
"""CIM_OperatingSystem.OSType: Linux, 64 bits."""
_MACHINE = "vmx-13"  # ESXi 6.5, as the disk's descriptor says
_NETWORK = "VM Network"

# CIM_ResourceAllocationSettingData.ResourceType.
_PROCESSOR, _MEMORY, _SCSI, _ETHERNET, _DISK = "3", "4", "6", "10", "17"


@dataclass(frozen=True, slots=True, kw_only=True)
class Appliance:
    """What the description says.

    Attributes:
        name: Of the machine, for people.
        disk_file: File name of the disk in the archive.
        disk_bytes: Size of that file.
        capacity: Bytes of the disk in it.
        memory_mib: Of the machine.
        uefi: Only UEFI boots the disk; VMware gives a machine a BIOS unless told.
    """

    name: str
    disk_file: str
    disk_bytes: int
    capacity: int
    memory_mib: int
    uefi: bool


def dumps(appliance: Appliance) -> bytes:
    """Returns the description as XML. Its order is the schemas', which readers check."""
    root = ET.Element("Envelope", _NAMESPACES)
    references = ET.SubElement(root, "References")
    ET.SubElement(
        references,
        "File",
        {
            "ovf:href": appliance.disk_file,
            "ovf:id": "file1",
            "ovf:size": str(appliance.disk_bytes),
        },
    )
    disks = _section(root, "DiskSection", "The disks")
    ET.SubElement(
        disks,
        "Disk",
        {
            "ovf:capacity": str(appliance.capacity),
            "ovf:capacityAllocationUnits": "byte",
            "ovf:diskId": "disk1",
            "ovf:fileRef": "file1",
            "ovf:format": _STREAM,
        },
    )
    networks = _section(root, "NetworkSection", "The networks")
    network = ET.SubElement(networks, "Network", {"ovf:name": _NETWORK})
    ET.SubElement(network, "Description").text = "The network of the machine"
    system = _section(root, "VirtualSystem", "A virtual machine", {"ovf:id": "machine"})
    ET.SubElement(system, "Name").text = appliance.name
    guest = _section(
        system,
        "OperatingSystemSection",
        "The guest",
        {"ovf:id": _LINUX_64, "vmw:osType": "otherLinux64Guest"},
    )
    ET.SubElement(guest, "Description").text = "Linux"
    _hardware(system, appliance)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return text + b"\n"


def _hardware(system: ET.Element, appliance: Appliance) -> None:
    hardware = _section(system, "VirtualHardwareSection", "The hardware")
    machine = ET.SubElement(hardware, "System")
    for key, value in (
        ("ElementName", "Virtual hardware"),
        ("InstanceID", "0"),
        ("VirtualSystemIdentifier", appliance.name),
        ("VirtualSystemType", _MACHINE),
    ):
        ET.SubElement(machine, f"vssd:{key}").text = value
    memory = str(appliance.memory_mib)
    _item(hardware, "1", "1 processor", ResourceType=_PROCESSOR, VirtualQuantity="1")
    _item(
        hardware, "2", f"{memory} MiB of memory", AllocationUnits="byte * 2^20",
        ResourceType=_MEMORY, VirtualQuantity=memory,
    )  # fmt: skip
    _item(hardware, "3", "SCSI", Address="0", ResourceSubType="lsilogic", ResourceType=_SCSI)
    _item(
        hardware, "4", "Disk", AddressOnParent="0", HostResource="ovf:/disk/disk1", Parent="3",
        ResourceType=_DISK,
    )  # fmt: skip
    _item(
        hardware, "5", "Ethernet", AddressOnParent="7", AutomaticAllocation="true",
        Connection=_NETWORK, ResourceSubType="E1000", ResourceType=_ETHERNET,
    )  # fmt: skip
    if appliance.uefi:
        firmware = {"ovf:required": "false", "vmw:key": "firmware", "vmw:value": "efi"}
        ET.SubElement(hardware, "vmw:Config", firmware)


def _section(
    parent: ET.Element, tag: str, info: str, attributes: dict[str, str] | None = None
) -> ET.Element:
    section = ET.SubElement(parent, tag, attributes or {})
    ET.SubElement(section, "Info").text = info
    return section


def _item(hardware: ET.Element, number: str, name: str, **values: str) -> None:
    """Adds a device; CIM wants its properties in the order of the alphabet."""
    item = ET.SubElement(hardware, "Item")
    for key, value in sorted((values | {"ElementName": name, "InstanceID": number}).items()):
        ET.SubElement(item, f"rasd:{key}").text = value

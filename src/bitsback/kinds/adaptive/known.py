"""The known answers of the adaptive kind: payloads of images that a formula makes, for each group of variants.

A group is what is compiled together, so that nothing is compiled to be proved that is not used. See
:mod:`bitsback.kinds.proof`.
"""

from __future__ import annotations

import hashlib
from base64 import b85decode
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitsback.kinds import proof
from bitsback.kinds.adaptive import serial
from bitsback.kinds.adaptive.cost import Whole

Images = NDArray[Any]


class Known(NamedTuple):
    """Images, by their shape and type, and the payload of a variant for them in base 85."""

    whole: Whole
    dtype: str
    tag: int
    packed: str
    two: bool = False
    """Whether of the few values there are but two."""

    @property
    def payload(self) -> bytes:
        return b85decode(self.packed)

    @property
    def images(self) -> Images:
        """Waves, noise and an edge; for variants that want few values, a chequered pattern with faults; all 0 where a
        last channel of four, opacity, is."""
        n, y, x, c = np.indices(self.whole, np.int64)
        noise = (n * 7919 + y * 104729 + x * 1299709 + c * 15485863 + y * x * 32452843) >> 7
        top = np.iinfo(self.dtype).max
        if self.tag in FEW:
            images = np.where((x // 3 + y // 4 + n) % 2 == 0, 1, 3 * (noise % 2)) + c
            images = np.minimum(images, 1) if self.two or self.tag == TWO else images
        else:
            waves = (9 * y + 6 * x + 40 * c + (y * x) % 5 + noise % 3) * (1 + top // 400)
            images = np.minimum(waves + np.where(x > 7, top // 3, 0), top)
        if self.whole[3] == 4:
            images[..., 3] = np.where(x[..., 3] > 4, 200, 0)
            images[images[..., 3] == 0] = 0
        typed: Images = images.astype(self.dtype)
        return typed


TWO, FEW = 0x18, (0x18, 0x70, 0x80, 0xC0, 0xC1)
"""The variants that want two values, or few."""

KNOWN: dict[str, tuple[Known, ...]] = {
    "smooth": (
        Known(
            (1, 9, 11, 3),
            "uint8",
            0x42,
            "LjM6LC;$IiEC2uiw-f+G`zM5}c}lLi_N2HpxW#cI`?);T9rbS3R^RUlA0G|q1Ia`11vOBID3<oq=j??9op8q2q8qOB>IJCMfGph9"
            "{f5%vTt%@+5&tUMgC70Z7*t-3HV>lxc|POqY4v;mek5H<3!3VC#Wvv#=H7OK?<a@6mbGfyABwy7<E8nV{1tdlz%_PaFPmq@OK)g9"
            "1s(5l?)Rn;",
        ),
        Known(
            (1, 8, 12, 4),
            "uint8",
            0x45,
            "MgIXED|7%kY1RV(my3_vSDW<|vpHk!Cj4_(H@}{7)gQakgui*-6<y3w{<v>OT>93R?s?|zKZ$6RzL90e?;qVLNA~USRufpTrt#wd"
            "7?e^D(Qhb?Y(-?&Cy=S|MIwNKjzG<UwfO(lRU~ha-wKTISZ=*5&!m28W7mL~",
        ),
        Known(
            (2, 7, 12, 1),
            "uint16",
            0x40,
            "K>fx7K?oY5ThZtF5({O}m>P_+u2!E+fDOuca3!EVW?}c4hJj}T?FUU-*0mdj2{UJF-RV)VT8RUA9R~y%4#@zJLji;NZVk^Vigf@q"
            "k&sm4bQFhqkOcIiNd0oPAJpt#VNXIzinUNdKBcD@gE*CRxVVR`l(A0#7N<ECQr*%2O0^dNQ>OPdoLFH0=Giz<++)o3lM1>6w=e@}"
            "nz)YCFx$tv#HQQ;>qiCTXc~2=JL#OM%#v5?Mp$jgPX2Vew^k0~3uJ}w;E%t#`jCYB5Kzs>TH0s53{xA~q>Ufx?d_e;r7OW&CVZSh"
            "@jTq(M-g7rR}uonx^!dz^@yv5pq0@76MydI(1@k{lK",
        ),
    ),
    "regressed": (
        Known(
            (2, 8, 11, 3),
            "uint8",
            0x5A,
            "TK@q>xd8xe0{{R3n<W2h;?dXO{`@&{06x{;{+s;~@jon0B5p__i)VY4joJ<xQd|p>n=rblf3(fK_e2}XeZ`h`T=a>kx*HJuTBV@e95Wm"
            "_55GhvGT-sfsX}lM4q{#m=)hGV_jiyb89o*)S=tx+&En+!;PMKrgxv?x=SxV0V>;I0eEv<ori%y>lz7|?)8%x+{2uqS4d-mSMDju13Ty"
            "kfPI3r)L7@Mm%%T3wn(6Hex?y>XOtZ5RBs!i~!a0|1h;2Ik+-B_trq$CGQ&=@cOj-t^%5a~)XdK~g#E%!T_^qb|v)RFp_WZ~ZtLyV669"
            "4}c3;!&F$q9a!-`&gJ_QE#5v>tQ2o6F$&$&EM01C1f#mH+@b",
        ),
        Known(
            (1, 9, 12, 4),
            "uint8",
            0x55,
            "RsR7cMf*Wp0RR91JK<`P>bwSu2B+-XJeb>2#P5PnLzqxGk0s+9o;_|`oZ20m$T1xXC(I4`-Eajk(wFFINyK`j;&Jb<G8W39-%KB}$6+~"
            "#DqW-*Lyrag#eBo>3iRcD(!RE?zt#{$#%A=9%_fM+>cc|?A4tz3tt0>cXX&i4lO<j+qM%VblPKk{ORLz@J@W;y2Lt#dCOKAU",
        ),
        Known(
            (3, 10, 9, 1),
            "uint16",
            0x60,
            "V2RZNag|F)M<d?^0B>xQdRZCyLM=++Xu~!AxQ>ijgb6Vu?KYxMN<V1{rnmv37+4_ysPGRYE-J~z*JQ7?!H3xZj6^pFYuFYoyuQxR1|m|"
            "!;ghU+eF;|Zuf@6x@mnZ<3RXg+-?@ALB!0P-G+X$a-w}~ch3D1|Jqvv}OPx&TT&f)+&%2-fOaW-dZT8gVHGJCox9kp!Y?9x)CN-cg)8R"
            "$7ZxpOsA0uu^GvY^b>Zt*6ol~R%t+KihAlkgqBjVipM?RH&kvW?c6ph;E7P{Sz6p%0&-5wjyEb+6=)f4oU+@(S-QX)>|K%}ihU6R&`iO"
            "6M4RXC!Hr>*z+lZRuvk_g8d^N!5BdtGFU3t#kSJ@%LePKJgffOZj*PjSw0ZN|-25w!G<BG;vkhz+q^c=WDc8Y0K_K3y6<o1G!FVO;`$k"
            "}fMiBF+)fjGpK6;#oNn*qZQE2kS0~uTLeXiDOf*b)Nag8u8P>^}0ktixm1{2jF~uI4UAIF!6<4B}3f4Q*yHZvpV(u$gnerpT&5KhEkHI"
            "zw!{8%z+juai{8<AN<TD+f=rY9-Aq~NrZr0^0KFaw?<blhu|asQkz6$51tqoQ~",
        ),
        Known(
            (2, 9, 10, 1),
            "uint8",
            0x68,
            "Xx9M%031sI2^#?b002vN!8?h4>N${mHZ(=bVx-IQck|-syisa^h1CeN16{$qNJZHf099k(wklXG0PDN8PFt+J0RyYxKtBXxcPgo&7_I|"
            "S!)qe77io>pKmHk+fFpoC1{;2A&Ny8hYXgP^ZA%<I6gPxaE#-B65zz",
        ),
    ),
    "repeats": (
        Known(
            (2, 9, 12, 4),
            "uint8",
            0x70,
            "aL552wq%fTOPwW@obJ_5rJ8tmHc)=*c&Y-xyi4fZU!(2X9#k&9Q_-S&62t#L#)_OR4EzG`{Mt1>R4zRbx11{J;G%F+R`{uKBNb-i4S8O"
            "_e|bOsq0n|DhUN<I7!>;K1c)MK&AD~X^=CDD+c9t|22rXb$7A>J8;4V*",
        ),
        Known(
            (2, 8, 11, 3),
            "uint16",
            0x79,
            "d8x4j#R0zq047j0004+Q;utM(Za+!^gDrlWFRHBt?Hq4OXbx)XfePe}nZziaWf1T71ydAoz%5ALV7%XwK~d}3?ImpFe|UtyJ1Q;Blgg8"
            "HT^3uE&7a$7s4r3syJEA^<XySDG9!O>=s?gR>TZ$y+@qaVCoPWCA8!eI1b@_nET8r}`!SH8^GoMWovJdu=~ZYk0V*$sQZ{F8A@u<{!Nt"
            "2<#-X@~ZPSWN*Z%-x@|g;-+&f7<&KOV6xM~hTco1z730sb=>^3WElmpDY2~nper>AA2WRAV}1L6W3SfeR~zg&uDMwY+Pvd+L?>gGVdKM"
            "tV#Gbh}1%N3Qnl&y~z_1d*cmY90o2#u{7RsXl1cG$KtM5by?tD1Jbj^epUM?ME@3V$PCt(d52=5|I{2jS?+Jl2+-rY4G6+85u!d|L8_W"
            "{~ZTyO_XCCj>X%XQWd48sE$(NkLS$x?Ju5T}_*^t*GvAl4v{disZssA<RP^YB&-lJ28_cUvdCC_7;^Dx2%1Hku~XWC`*e+^P&2PS2YYM"
            "`|b*Mb)a?#^pgkK;?Hv;dLay910F5=UB5S-k2fqlu`D}dk%ps-Vt0;%etba{3rZbrJy~$FA=oPQcCm-^G3|ViCJik=uR3=I&}F9=F>|`"
            "r8F3`{`qMZ;;yKvrJbS|1wG0!QnZD|wc+fRB$mR81*h@RW=^?*a#yJ9E>Zt3cbZ@$UKoL?rA_0#nW%|z<VhN79{}z=}B6+O%<7gMFE`y"
            "KOrPgX(dA#uxMs%dT-)X7CMeSG^KffPg$(*5+<jci`XYXG4%{BJcUMPN~1@;@j8H<8_2zv{XtfU-(>W)kM9&9u;82DTR){+OvA6IlqcA"
            "Nl^Tn93chnYo?NsFAm2vFKyuLBdfC?|KStrLYLnwSBH99awatNCfRhU|kB<~DP$OX$j4`rO>kS;$udix~MRg&>$=b#BJ`F~9H<tOU!>n"
            "0A&i)mvk17Tz=JnD_u15HSn{+k}AUoQ`uAR50|-OXL4o4#y}rSk;V|n1JMrV+i=?0O|",
        ),
    ),
    "blended": (
        Known(
            (1, 17, 13, 3),
            "uint8",
            0x91,
            "k^ccs5dZ+q2mk;8%QjBZ2ah{h5g4X?{yWOf{Sbf##cq(tALyu!r{CwHaj~at1bSYA_`kCmJwdD70F~lFA<vFZ8Ow3u)Q-0evEadO<xtu"
            "G^hv`no?f!b<B-1gXjYr&tL&##x+XC)$zo6B2`5gWJ?lBFbFR+e9+x&W?Os&*3y*Zk`gdVQpa|hMNvtwi{8!$BT*~H{+92N-37JMV*ks"
            "X*1v4ijZ|`FY#5FWzQ%fbFt(98Y!c|*2&Az2+rS<K6*+rgGlC_o%ZbZq_gAo_QW;Y2xUlN74$_NJb{b^>a)UkGn?#jAb2@s>_7=2?KP7"
            "4dCTiK7L?T)oj%33PRpG&<&CN^wDCB_<B$mb|2IDvJDUIQ=9b`l?Q1Fv=B-sl&tSkJ|vQC%w)msU=A_t%Xpn3)sc7BT>;",
        ),
        Known(
            (2, 10, 11, 4),
            "uint8",
            0x9D,
            "o&NzqecuBj5s!=krZo=y^<1n<Q7Nv2Wu2;T&XnTK=|#J^o<ueJ#HxSOVU3&ka63wfjSH>hfkCH=;*&`6N`joy9Znjql8v4IdBwHNSRV>"
            "b&puzUAu1csM!&j9v+DQmPgk;|bnxaAG3+Gp**VJvIPEF3N*h>5be3_A;bF&QZ<wsR{??PWGDrpermIZ!utZXVCGIWK4Zq$<<}kR-buz"
            "skOY$a!QR@4M6{B2FnUtP2kA{23Z}B-vM6O%EEXHYl^-c^u+eNWj(xBO?h>8pnj7B%R%F3qF+^0LRJ7Ie>dhYAn_|__gN6Nilj8iAIdF"
            "`aGjvC+E4Nk@^X+Hbp#+h$z",
        ),
        Known(
            (3, 10, 9, 1),
            "uint16",
            0xA0,
            "po!H2YJYK>%+VJB0L!>*EO<14AM=#5N5A_?yY=0g)<e=_N~};wR-?J*uYA14t^npr;5b+U)Y#=;ZPUl%L(b7gfe~EE>$x!sPMdI?H?Un"
            "iK-fv8DH^$*=?+$vIkOO%2p+)3ax3K$Jrl5SidnB#mqB_pi@PGmXQ#77Uvn#mA7GN^K_V5;Qnf>c1dD+(erPrHTEnhwx&g}RgA^=`$7Z"
            "g^c%-uIpD?6}*Sjx+D()_)l0T}tE8J-T?(Yj32e&fCi_i#uI;1uR3lcr?{Z%z<Fr|nM)-k81KzfBdtV1xEv+$`{4U*Pz)X=V9In(Du;Y"
            "eurW|D|CL~EH}rs|v7de>7ABf|3j!iko<CmD^E`{b-P|063us*10cnC*UwJ7|JA%k@|l0cK=<mg87TpRiWy&XHJVXh~yg-&`_?__;g*v"
            "~KjjCJB*ic!JZet$04&iU;k28F+Wui5juKl^IzNRFMApE%yU<u(Iw_Wsu}FC{b38&)(2J=*JxnZP|54GT64HckP^27c=hjVdcoI+=z6r"
            "gv{dPzWF7Ku7@NED^COjH$gmBA^",
        ),
        Known(
            (2, 9, 10, 1),
            "uint8",
            0xA8,
            "sMi4i02#=_Zk0w3004aTy&o#|$^;Sr1~F10cG|~L%1u!>q-LFKoLE#pB_F)e^u4|A6{;;21;nQH8S-MGowiY!d5-%rdy*oZK%6yx|A}o"
            "$G@{g@y3V#w&iVsZpG6^@C^EK4O1X(3Za&7~I$i",
        ),
    ),
    "mixing": (
        Known(
            (3, 12, 24, 1),
            "uint8",
            0x80,
            "fC3k&^BZ4YCy;Jg<M~Rmp{m6;d7dc753Qb=<yVbMR`ssVbHSTI`yMg&OnvN1t3ST~^dXyz&s2z2umESUm>%Sx4u{~YvrNbqx_gK6qM"
            "X1@hKaykP8iHTh`m(Kx~68*YqLl",
        ),
        Known(
            (2, 11, 23, 1),
            "uint8",
            0x80,
            "fB_2zZhJ|K1ONb_s+s5!?y~~RD&@7bpzb+I3g0&;S)_X|H^QAcg}Z5vVH4mlU6fo}rreS",
            two=True,
        ),
    ),
    "counted": (
        Known(
            (2, 5, 9, 3),
            "uint8",
            0x30,
            "FhhIA|J6D!>@M^Y6DHigu|os`T<s(rEMWm%obuwOyO7Z^if08BEPgG-vG`^%u=uC&hd8FMDUE80%XZ+zv6Z4TYIy!<C~D|zwI|zF"
            "ByQ$Hgu)UxCki9&tD!#iM?;_IuUApLqrIDuFMZ)?G8YU|w5~{$&g?l38T#m{(PIA)a3aLDVJ0Ufb|npfCw>o8<5^*Ah|8Xe=x4e$"
            "-2^dMHhgEjqfE_`Eom6{Kr=<azjh5DbC)~8z@-}tPOo<EJ&kn(=-|W1FXn|F(a?)_?RT*&+ofFwyYL1hzCm-0F=xQz1XB##@HhP$"
            "g~|1nL@km3lM6?4@MkWD7amM>10o$MnQM*l;HH<WD7u-`s%`",
        ),
        Known(
            (1, 6, 8, 1),
            "uint16",
            0x30,
            "Fc-?F|IaG|001$$c%oNX-4XZn<d~V95MURJ<*_;gv)(J|+ryfQ$92{P%THl7du4&RRLC;fTnVx1N3ZOy2tl}@sZz-qTtM(*3es0|"
            "6|ULfkDc`DhQN5;zu`gK`<Ua?|I`",
        ),
    ),
    "median uint8": (
        Known(
            (1, 7, 11, 3),
            "uint8",
            0x16,
            "7T^Hp0HFi`DFTtDDY9+BQV)1>21ybe{Mkq8x8V*y#?1dWc7}~8xX^-Ieo%oGct|yX|GfP`wkOHKYn#3tw7ol{uC=VZ5QErHS`+-H"
            "DGY_Qr_TqAtk0=82QRH+!>aoiN_uj=b+k>4HMPknOEV8it3hcNvo=B6y$!e>h(Afde6Eergg3sg*2fE|rJ3AXpA@nG-U?`Iok@Lt"
            "AY@yzG>_AB#sB",
        ),
        Known(
            (1, 7, 11, 3),
            "uint8",
            0x25,
            "B?ZAjN<={rM8Vh9l?juyV=;VY<3E<ibR&2`BfgVKCV!KeJja>)$;{>HnH;|-6JNfa*A*wPoSgAV&dHg~Ovafz{%HUJtS;omHr8rG"
            "^^&n#t==t`>1qnASb$sr+sOQ4VPOFjvQ%BY7bU7eMXg$>7MK!iePAsb_UFT*wXLs*{s9",
        ),
    ),
    "median uint16": (
        Known(
            (2, 6, 11, 1),
            "uint16",
            0x14,
            "6yN~|0KWtP00L<3bRcB4*bwE0&Beizx8}6z{gYtK1GM+3<+03?8x!@6mlnJ=*wI-oZ%+(@RyEgxy2+CjSWq#Lm*Xeh&wAHeIYRk}"
            "9ZJp!Oa6lt_Cy(`O!i-c6OL4eL`sH{DBGb%+V*N^V>&EMy?jy+EFlh&g&a{%jO-@Dt*w|JO|NzNJ<_sa89r)L;I+@_ws8XaPy0Tj"
            "6`m*8)yQUX8nA=V`*~3D+YMk5q>+A55H+jF{Y(Mb+?L>t<0=3E",
        ),
    ),
    "general": (
        Known(
            (1, 5, 9, 1),
            "uint8",
            0x10,
            "5CH%z00#^d86GApg$ocDA15a-Hj@(@A|)>}IzgEmCMYvCJ3>dKCN48LK0{4YtpE",
        ),
        Known(
            (1, 5, 9, 1),
            "uint16",
            0x20,
            "AOTtcrT+i`d<3uu&<q3+I1^YHj2jhn3<p38ybjzG{22Tg93Ge=4Sg&OOcBTxv=<y62p}jWq$%ZqOc7WZpc$+n^dZb8NGg0S@rPI#"
            "cpa=D;3K#v>?%|-EH$-_",
        ),
        Known(
            (1, 5, 9, 1),
            "uint8",
            0x18,
            "7y$qa00IAi|A6y=^ME{n00",
        ),
        Known(
            (1, 7, 9, 3),
            "uint8",
            0xC0,
            "zy}rp009L61OfmA1pxvB0|5d90R;mD0ubN;J^&>H00HQ|reL6D<!q)yT}c75TZ-@vo$+m0ops~o&~$eaZV~4@f7Sp",
        ),
        Known(
            (1, 7, 9, 2),
            "uint16",
            0xC1,
            "!37Hd000310ssR51OO1=0DS-?0{{Sk%*dfDUBW^Pxn3-(hRsuwY&FVgs^ir{ldZs53FpL_FuMQ",
        ),
        Known(
            (2, 3, 9, 1),
            "uint8",
            0xC2,
            "!XOX<02%-X3=|n2CM$&t5EmaOCoeXW6B{BWFETnonE)IB0R|2e7$7AohYArH9wsR;HIfn>BquI0IY5{",
        ),
    ),
}


def group(tag: int, dtype: np.dtype[Any]) -> str:
    """What is proved before the variant ``tag`` is used for images of a type."""
    if 0x90 <= tag < 0xB0:
        return "blended"
    if 0x50 <= tag < 0x80:
        return "regressed" if tag < 0x70 else "repeats"
    if tag & 0xC0 == 0x40:
        return "smooth"
    if tag & 0xC0 == 0x80:
        return "mixing"
    if tag & 0x30 == serial.COUNTED:
        return "counted"
    return f"median {dtype}" if tag < 0x40 and tag & serial.MEDIAN else "general"


def prove_encoding(name: str, encode: Callable[[Images, int], bytes]) -> None:
    """Make sure that ``encode(images, tag)`` gives the payloads of a group; InexactEngineError if not.

    But for variants of variants, which compute nothing of their own.
    """

    def holds() -> bool:
        known = [one for one in KNOWN[name] if one.tag < 0xC0]
        return all(_content(encode(one.images, one.tag), one) == _content(one.payload, one) for one in known)

    _prove(name, "encoding", holds)


def prove_decoding(name: str, decode: Callable[[bytes, Whole, np.dtype[Any]], Images]) -> None:
    """Make sure that ``decode(payload, whole, dtype)`` gives the images of a group; InexactEngineError if not."""

    def holds() -> bool:
        return all(
            np.array_equal(decode(one.payload, one.whole, np.dtype(one.dtype)), one.images) for one in KNOWN[name]
        )

    _prove(name, "decoding", holds)


def _prove(name: str, direction: str, holds: Callable[[], bool]) -> None:
    proof.once(f"the adaptive kind, {name},", f"adaptive {direction} {name} {_digest(name)}", holds)


@cache
def _digest(name: str) -> str:
    return hashlib.sha256(repr(KNOWN[name]).encode()).hexdigest()


def _content(payload: bytes, known: Known) -> bytes:
    """The payload, or what a general compressor holds in it, whose bytes depend on the library's version."""
    if payload[0] >= 0x40:
        return payload
    return serial.unpacked(memoryview(payload)[1:], known.whole, np.dtype(known.dtype), payload[0])

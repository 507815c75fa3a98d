"""Run by test_page.py with selenium and Debian's Chromium: URL IMAGE FOLDER GUARDED TOKEN; prints what it saw as JSON.

GUARDED: the URL of a server that asks for TOKEN. Screenshots go into FOLDER: light.png, dark.png, phone.png.
"""

import json
import sys
import time

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

url, image, folder, guarded, token = sys.argv[1:]
options = webdriver.ChromeOptions()
options.binary_location = "/usr/bin/chromium"
for argument in (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--window-size=1200,900",
):
    options.add_argument(argument)
options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
driver.set_page_load_timeout(90)


def text(css: str) -> str:
    return driver.find_element(By.CSS_SELECTOR, css).text


def until(condition) -> None:
    WebDriverWait(driver, 90).until(lambda _: condition())


def shown(css: str) -> bool:
    found = driver.find_elements(By.CSS_SELECTOR, css)
    return bool(found) and found[0].is_displayed()


def classified() -> str:
    driver.find_element(By.ID, "file").send_keys(image)
    until(lambda: driver.find_elements(By.CSS_SELECTOR, "#answer .best, #answer .error"))
    return text("#answer .best, #answer .error")


def scheme(name: str) -> None:
    feature = [{"name": "prefers-color-scheme", "value": name}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})


def screenshot(name: str) -> None:
    time.sleep(0.3)
    height = driver.execute_script("return document.documentElement.scrollHeight")
    width = driver.execute_script("return window.innerWidth")
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.save_screenshot(f"{folder}/{name}.png")


CONTRAST = """
const luminance = (text) => {
  const parts = text.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
};
const ground = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (!/, 0\\)$/.test(colour) && colour !== "transparent") return colour;
  }
  return "rgb(255, 255, 255)";
};
let worst = 21;
for (const node of document.querySelectorAll("h1, h2, p, dt, dd, td, th, span, a, label, summary, strong, li")) {
  if (!node.offsetParent || !node.textContent.trim()) continue;
  const pair = [luminance(getComputedStyle(node).color), luminance(ground(node))].sort((a, b) => b - a);
  worst = Math.min(worst, (pair[0] + 0.05) / (pair[1] + 0.05));
}
return worst;
"""

told = {}
try:
    scheme("light")
    driver.get(url)
    until(lambda: text("#state") == "ready" and shown("#classify"))
    told["title"] = driver.title
    driver.find_element(By.CSS_SELECTOR, "summary").click()
    told["card"] = text(".card")
    told["answer"] = classified()
    told["scores"] = [item.text for item in driver.find_elements(By.CSS_SELECTOR, "#answer li")]
    until(lambda: shown("#seen li"))
    told["seen"] = text("#seen li strong")
    until(lambda: text(".p50") != "–")
    told["counted"] = text(".depth")
    told["contrast_light"] = driver.execute_script(CONTRAST)
    screenshot("light")
    scheme("dark")
    time.sleep(0.2)
    told["contrast_dark"] = driver.execute_script(CONTRAST)
    screenshot("dark")
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    )
    time.sleep(0.3)
    told["phone_overflow"] = driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    screenshot("phone")
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    focused = []
    for _ in range(12):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        active = driver.switch_to.active_element
        outline = active.value_of_css_property("outline-style")
        focused.append(f"{active.tag_name}#{active.get_attribute('id')} {outline}")
    told["focused"] = focused
    resources = driver.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    told["elsewhere"] = [name for name in resources if not name.startswith((url, "data:", "blob:"))]
    told["console"] = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    driver.get(guarded)
    until(lambda: shown("#token"))
    told["hidden_without_token"] = not shown("#classify") and "ready" not in text("#models")
    driver.find_element(By.ID, "token-text").send_keys(token, Keys.ENTER)
    until(lambda: text("#state") == "ready" and shown("#classify"))
    told["answer_with_token"] = classified()
finally:
    driver.quit()
print(json.dumps(told))
